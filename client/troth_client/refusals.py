"""Tokens and spares that our relay shall refuse from now on, kept until it says that it does.

To whoever holds one, a refused token is one that was spent: nobody can tell a block from bad luck. Our relay learns
which unspent tokens were one contact's. SPEC.md section 13.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from troth_protocol.token import NONCE_SIZE, capability_hash
from troth_protocol.wire import MAX_REFUSED, MAX_SPARES_PER_REQUEST, requests, rights

from .events import Reference, Step
from .journal import PEER_KEY, Journal

_NO_SPARE: Final = bytes(32)
_FOR_GOOD: Final = 2**63


def refuse(journal: Journal, fingerprint: bytes) -> None:
    """Take from a contact every token and spare we gave; what they bring from now on belongs to nobody. [R-13.5-1]"""
    for key, peer in list(journal.peers.group(fingerprint)):
        for nonce, given in list(journal.nonces.group(key)):
            journal.refusals.put(nonce, int.from_bytes(given[PEER_KEY:], "big"))
            journal.nonces.delete(nonce)
        if peer.spare != _NO_SPARE:
            journal.refusals.put(capability_hash(peer.spare), _FOR_GOOD)
        journal.peers.put(key, replace(peer, spare=_NO_SPARE, spare_registered=True, announce=None, top_up_due=None))


def wanted(journal: Journal) -> Iterator[tuple[Reference, requests.Request]]:
    """What our relay does not refuse yet."""
    hashes = tuple(key for key, _ in journal.refusals.items() if len(key) != NONCE_SIZE)[:MAX_SPARES_PER_REQUEST]
    if hashes:
        yield Reference(Step.REFUSE, b"spares", b"".join(hashes)), requests.Spares(remove=hashes)
    nonces = tuple(key for key, _ in journal.refusals.items() if len(key) == NONCE_SIZE)[:MAX_REFUSED]
    if nonces:
        yield Reference(Step.REFUSE, b"nonces", b"".join(nonces)), rights.Refuse(nonces)


def answered(journal: Journal, reference: Reference) -> None:
    """Our relay refuses these now: they need not be remembered."""
    size = NONCE_SIZE if reference.about == b"nonces" else 32
    for start in range(0, len(reference.state), size):
        journal.refusals.delete(reference.state[start : start + size])


def keep_house(journal: Journal, due: int) -> None:
    """Forget tokens that have expired by themselves."""
    for key, expires in list(journal.refusals.items()):
        if expires <= due:
            journal.refusals.delete(key)
