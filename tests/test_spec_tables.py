"""The tables of SPEC.md against the code: labels, requests, answers, error codes and names, content types, sizes.

A table is found by its heading row, so prose around it may change; a row that is missing, extra or different fails.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from troth_protocol import content, envelope, errors, frame, labels, manifest, prekeys, ratchet, session, wire
from troth_protocol.wire import answers, blobs, requests

SPEC: Final = (Path(__file__).parents[1] / "SPEC.md").read_text("utf-8")


def table(*heading: str) -> Iterator[list[str]]:
    """The rows of the one table with this heading, cells without back-quotes."""
    head = "\n| " + " | ".join(heading) + " |\n"
    assert SPEC.count(head) == 1, f"{SPEC.count(head)} tables are headed {head}"
    lines = SPEC[SPEC.index(head) + 1 :].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        yield [cell.strip().replace("`", "").replace("\\|", "|") for cell in cells]


def test_the_label_table_is_the_registry() -> None:
    """[R-3.2-1]"""
    rows = list(table("name", "label", "use", "section"))
    written = [label.encode().replace(rb"\x00", b"\x00") for _, label, _, _ in rows]
    assert sorted(written) == sorted(labels.ALL)
    for names, _, _, _ in rows:
        value = b"".join(getattr(labels, name) for name in names.split(" + "))
        assert (value + b"\x00" if " + " in names else value) in labels.ALL
    for label in labels.ALL:
        assert label.startswith(b"troth/1 ")
        assert sum(other.startswith(label) for other in labels.ALL) == 1


def test_requests_and_answers_are_the_wire_types() -> None:
    written = [(int(kind, 16), name.split(" ")[0]) for kind, name, *_ in table("type", "name", "body", "answer")]
    written += [(int(kind, 16), name) for kind, name, _ in table("type", "name", "body")]
    assert written == [(kind.value, kind.name) for kind in wire.Type]


def test_owner_requests_are_marked() -> None:
    """The mark is the rule for which requests need a proof; the relay's own tests try each. [R-11.3-1]"""
    marked = {name.split(" ")[0] for _, name, *_ in table("type", "name", "body", "answer") if "(owner)" in name}
    assert marked == {
        "ROTATE",
        "PUBLISH",
        "UNPUBLISH",
        "ADD_LEAVES",
        "COUNT",
        "FETCH",
        "ACKNOWLEDGE",
        "SPARES",
        "ERASE",
        "REFUSE",
        "BLOB_PUT",
        "BLOB_DELETE",
    }


def test_error_codes_are_the_wire_codes() -> None:
    rows = list(table("code", "name", "meaning", "a client"))
    assert [(int(code), name) for code, name, _, _ in rows] == [(code.value, code.name) for code in wire.Code]
    assert all(action for *_, action in rows)


def test_error_names_are_the_tree_of_errors() -> None:
    rows = [(name, code, int(exit_code)) for name, code, _, exit_code in table("class", "code", _WHOSE, "exit")]
    tree = [
        (name, kind.code, kind.exit_code)
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.TrothError)
    ]
    assert rows == tree
    codes = [code for _, code, _ in rows]
    assert len(set(codes)) == len(codes)


_WHOSE: Final = "whose fault, what next"


def test_content_types_are_all_there() -> None:
    """[R-9.3-1]"""
    written: dict[int, str] = {}
    for numbers, names, _ in table("type", "name", "content"):
        first, _, last = numbers.partition(" to ")
        written |= dict(zip(range(int(first), int(last or first) + 1), names.split(", "), strict=True))
    assert written == {kind.value: kind.name for kind in content.ContentType}


def test_buckets_and_sizes() -> None:
    """[R-9.2-1] [R-9.2-2] [R-11.2-3]"""
    rows = [
        tuple(int(cell.replace(",", "")) for cell in row)
        for row in table("bucket", "content, at most", "message on the wire")
    ]
    assert rows == list(zip(frame.BUCKETS, frame.CAPACITIES, session.WIRE_SIZES, strict=True))
    assert {row[2] for row in rows} == wire.ENVELOPE_SIZES


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("({:,} with one device, {:,} with five)", (manifest.SINGLE_DEVICE_SIZE, manifest.MAX_SIZE)),
        ("({:,})", (prekeys.STATEMENT_BODY_SIZE,)),
        ("({:,})", (prekeys.STATEMENT_SIZE,)),
        ("({:,})", (wire.LEAF_SIZE,)),
        ("is {:,} bytes for one device and {:,} for several", (wire.BUNDLE_SIZE, wire.BUNDLE_SIZE_DEVICES)),
        ("padded to {:,} bytes for one device and {:,} for", (wire.BUNDLE_ANSWER, wire.BUNDLE_ANSWER_DEVICES)),
        ("MUST be {:,} or {:,} bytes, the smaller", envelope.FIRST_SIZES),
        ("frame MUST be at most {:,} bytes", (wire.MAX_FRAME,)),
        ("MUST be compared with {:,}, and", (ratchet.MAX_SKIP,)),
        ("at most {:,} keys", (ratchet.MAX_SKIPPED,)),
        ("at most {:,} of them, the newest", (ratchet.MAX_OLD_HEADERS,)),
        ("1 to {:,} bytes, and a receiver", (content.MAX_TEXT,)),
        ("LP(name), at most {:,} bytes", (content.MAX_NAME,)),
        ("uses u16, at most {:,}", (wire.MAX_CARD_USES,)),
        ("count u8, 1 to {:,} ", (wire.MAX_LEAVES_PER_REQUEST,)),
        ("window u16, 1 to {:,} ", (wire.MAX_WINDOW,)),
        ("count u16, 1 to {:,} ", (wire.MAX_ACKNOWLEDGED,)),
        ("count u8, at most {:,} \\|\\| hash 32", (wire.MAX_SPARES_PER_REQUEST,)),
        ("count u16, 1 to {:,} \\|\\| nonce", (wire.MAX_REFUSED,)),
        ("LP(invite, at most {:,})", (requests.MAX_INVITE,)),
        ("count u8, at most {:,} \\|\\| LP(entry", (answers.MAX_ENTRIES_PER_PAGE,)),
        ("LP(entry, at most {:,})", (answers.MAX_LEDGER_ENTRY,)),
        ("LP(chunk, 0 or {:,})", (blobs.CHUNK,)),
        ("A chunk MUST be {:,} bytes", (blobs.CHUNK,)),
        ("{:,} or {:,} of them", sorted(blobs.SIZES)[-2:]),
        ("The largest blob has {:,} bytes", (blobs.CHUNK * blobs.MAX_CHUNKS,)),
        ("at most {:,} spent nonces", (wire.MAX_SPENT_PER_EPOCH,)),
        ("MUST carry {:,} tokens", (envelope.FIRST_TOKENS,)),
    ],
)
def test_a_number_in_a_sentence_is_the_constant(sentence: str, values: tuple[int, ...]) -> None:
    assert sentence.format(*values) in SPEC
