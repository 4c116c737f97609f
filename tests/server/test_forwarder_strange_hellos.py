"""Hellos that are nearly a guest's, or that no library writes: the site's own answer to each. [R-19.4-2]"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.test_forwarder_probes import HELLO, Pair, Probe, pair, raw, shape

__all__ = ["pair"]

BODY = HELLO[5:]
ID_AT = 38
"""Of the session id's length, in the message."""


def record(body: bytes, version: bytes = b"\x03\x01") -> bytes:
    return b"\x16" + version + len(body).to_bytes(2, "big") + body


def sized(body: bytes) -> bytes:
    return record(body[:1] + (len(body) - 4).to_bytes(3, "big") + body[4:])


def with_id(session: bytes) -> bytes:
    return sized(BODY[:ID_AT] + bytes((len(session),)) + session + BODY[ID_AT + 33 :])


def long(size: int) -> bytes:
    """A hello of this size with one more extension, of a kind that nobody knows."""
    more = size - len(HELLO) - 4
    at = ID_AT + 1 + BODY[ID_AT]
    at += 2 + int.from_bytes(BODY[at : at + 2], "big")
    at += 1 + BODY[at]
    body = BODY + b"\xfa\xfa" + more.to_bytes(2, "big") + bytes(more)
    return sized(body[:at] + (len(body) - at - 2).to_bytes(2, "big") + body[at + 2 :])


STRANGE: dict[str, Probe] = {
    "over two records": raw(record(BODY[:100]) + record(BODY[100:])),
    "over two records, slowly": raw(record(BODY[:100]), record(BODY[100:]), pause=0.2),
    "an empty record first": raw(bytes.fromhex("1603010000") + HELLO),
    "record version 3.0": raw(record(BODY, b"\x03\x00")),
    "record version 3.4": raw(record(BODY, b"\x03\x04")),
    "twice": raw(HELLO + HELLO),
    "with a change of ciphers": raw(HELLO + bytes.fromhex("140303000101")),
    "with an alert": raw(HELLO + bytes.fromhex("15030300020100")),
    "an alert first": raw(bytes.fromhex("15030100020100")),
    "no session id": raw(with_id(b"")),
    "a session id of 31": raw(with_id(os.urandom(31))),
    "a session id of 33": raw(with_id(os.urandom(33))),
    "4,095 bytes": raw(long(4_095)),
    "4,096 bytes": raw(long(4_096)),
    "4,097 bytes": raw(long(4_097)),
    "16,000 bytes": raw(long(16_000)),
    "a request in the middle": raw(HELLO[:43], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "dripping": raw(*(HELLO[at : at + 40] for at in range(0, len(HELLO), 40)), pause=0.05),
    "remote desktop": raw(bytes.fromhex("030000130ee000000000000100080003000000")),
    "help": raw(b"HELP\r\n"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_hello_gets_the_sites_own_answer(pair: Pair, name: str) -> None:
    with ThreadPoolExecutor(2) as both:
        theirs, ours = map(shape, both.map(STRANGE[name], (pair.site.tls, pair.forwarder)))
    assert ours == theirs
