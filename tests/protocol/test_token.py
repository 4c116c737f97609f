"""Delivery tokens and what a relay keeps of capabilities and ids."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from simulator import NOW, Seeded
from troth_protocol import token
from troth_protocol.token import MailboxEpoch

SOURCE = Seeded("token")
KEY, OLD, MAILBOX = SOURCE.draw(32), SOURCE.draw(32), SOURCE.draw(32)
EPOCHS = (MailboxEpoch(OLD, NOW + 10), MailboxEpoch(KEY, NOW + 20))


def test_a_token_is_a_nonce_and_half_a_mac() -> None:
    """[R-10.2-1]"""
    nonce = bytes(range(16))
    mac = hmac.digest(KEY, b"troth/1 token" + MAILBOX + nonce, "sha256")
    assert token.issue(KEY, MAILBOX, nonce) == nonce + mac[:16]


def test_a_token_holds_under_either_live_epoch() -> None:
    """[R-10.2-2] [R-10.2-3]"""
    assert token.EPOCH_SECONDS == 30 * 86_400
    for key, until in ((OLD, NOW + 10), (KEY, NOW + 20)):
        made = token.issue(key, MAILBOX, SOURCE.draw(16))
        assert token.valid(EPOCHS, MAILBOX, made, until - 1)
        assert not token.valid(EPOCHS, MAILBOX, made, until)
        assert not token.valid((), MAILBOX, made, NOW)
        assert not token.valid(EPOCHS, SOURCE.draw(32), made, NOW)


@given(st.integers(0, 31), st.integers(1, 255))
def test_an_altered_token_is_refused(place: int, change: int) -> None:
    """[R-10.2-2]"""
    made = bytearray(token.issue(KEY, MAILBOX, bytes(16)))
    made[place] ^= change
    assert not token.valid(EPOCHS, MAILBOX, bytes(made), NOW)


def test_a_token_of_another_length_is_refused() -> None:
    """[R-10.2-2]"""
    made = token.issue(KEY, MAILBOX, bytes(16))
    for wrong in (b"", made[:16], made[:31], made + b"\x00"):
        assert not token.valid(EPOCHS, MAILBOX, wrong, NOW)


def test_what_a_relay_keeps_is_a_labelled_hash() -> None:
    """[R-10.1-1] [R-10.3-1]"""
    assert token.mailbox_hash(MAILBOX) == hashlib.sha256(b"troth/1 mailbox" + MAILBOX).digest()
    assert token.capability_hash(MAILBOX) == hashlib.sha256(b"troth/1 capability" + MAILBOX).digest()
