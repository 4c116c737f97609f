"""Write every vector: ``PYTHONPATH=tests python -m vectors.generate [--record] [--to DIRECTORY]``.

Byte for byte the same every time; ``--record`` makes what is missing of the outputs whose randomness a library keeps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import (
    make_conversation,
    make_encoding,
    make_exchange,
    make_first_contact,
    make_frames,
    make_handshake,
    make_identity,
    make_mailbox,
    make_pairs,
    make_primitives,
    make_ratchet,
    make_relay,
)
from .book import HERE, Book, Recordings
from .people import make_person


def every_vector(*, record: bool = False) -> Book:
    """All vectors, in the order of SPEC.md."""
    book = Book(Recordings(record=record))
    alice, bob = make_person(book, "alice"), make_person(book, "bob")
    make_encoding.make(book)
    make_primitives.make(book)
    make_identity.make(book, alice, bob)
    make_first_contact.make(book, alice, bob)
    make_handshake.make(book, alice, bob)
    make_pairs.make(book)
    make_ratchet.make(book)
    make_conversation.make(book)
    make_exchange.make(book)
    make_frames.make(book)
    make_mailbox.make(book)
    make_relay.make(book, alice)
    if book.surprises:
        raise ValueError("\n".join(book.surprises))
    return book


def main() -> None:
    """Write the files, and remove those of vectors that are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--to", type=Path, default=HERE)
    options = parser.parse_args()
    book = every_vector(record=options.record)
    for stale in options.to.glob("*/*.json"):
        stale.unlink()
    book.write(options.to)
    print(f"{len(book.vectors)} vectors")


if __name__ == "__main__":
    main()
