"""The safety number as words, for those who would rather read words than digits to each other. SPEC.md section 14.

The 80 digits are one number below 2^256 in decimal; its 32 bytes, most significant first, are 32 words of this list.
"""

from __future__ import annotations

from typing import Final

COUNT: Final = 32
_LIST: Final = """
    acorn actor amber anchor angle apple april arch
    arrow atlas autumn badge bagel baker balcony bamboo
    banjo barrel basket beach beaver bell berry bicycle
    birch biscuit blanket blossom boat bonnet border bottle
    branch bread brick bridge broom bucket buffalo bugle
    button cabin cactus camel candle canoe canyon carpet
    carrot castle cedar cello chapel cherry chess chimney
    circle clay clover coffee comet copper coral cotton
    cradle crayon cricket crown curtain cushion daisy dancer
    desert diamond dinner dolphin donkey dragon drawer drum
    eagle echo elbow elephant ember engine envelope evening
    fabric falcon farmer feather fiddle finger flag flute
    forest fossil fountain frog galaxy garden garlic gate
    ginger giraffe glacier glove goblet granite grape guitar
    hammer harbor hazel hedge helmet heron honey horizon
    hotel hunter iceberg igloo indigo insect iron island
    ivory jacket jaguar jasmine jelly jewel jigsaw juniper
    kangaroo kernel kettle kitchen kite koala ladder lagoon
    lantern lemon leopard library lily lizard lobster lotus
    lunch magnet mango maple marble market meadow melon
    meteor mirror mitten monkey moon mosaic mountain muffin
    museum napkin needle nephew nickel north nutmeg oasis
    ocean olive onion opera orange orchid otter oxygen
    oyster paddle palace panda paper parrot peach pebble
    pencil pepper piano pigeon pillow planet plum pocket
    pony poppy potato prairie pumpkin puzzle pyramid quartz
    queen quilt rabbit radish raven ribbon river robin
    rocket saddle salmon sandal satin saturn scarf shadow
    shepherd silver sketch sparrow spider spoon stable storm
    sugar summer sunset swan table tango temple thistle
    thunder tiger timber tomato trumpet tulip tunnel turtle
    umbrella uncle valley velvet violin volcano walnut zebra
"""
WORDS: Final = tuple(_LIST.split())
"""256 English nouns of four to eight letters, no two with the same first four."""


def safety_words(number: str) -> tuple[str, ...]:
    """The 32 words of a safety number as ``safety.safety_number`` writes it, with its blanks. [R-14-2]"""
    return tuple(WORDS[byte] for byte in int(number.replace(" ", "")).to_bytes(COUNT, "big"))
