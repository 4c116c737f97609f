"""The sealed first message: its sizes, its layout, and who can open or alter it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import NOW, TEXT, Seeded, accept, first_flight, make_device, person
from troth_protocol import envelope, keys, labels, manifest, session
from troth_protocol.encoding import lp, u8, u16, u64
from troth_protocol.envelope import Prefix, ReturnAddress
from troth_protocol.errors import BadKey, BadSignature, DecodeError, Expired, Mismatch, PeerError, SealError
from troth_protocol.frame import NO_TOKENS
from troth_protocol.handshake import Mode
from troth_protocol.manifest import DAY
from troth_protocol.primitives import SEAL_OVERHEAD, seal_open

ALICE, BOB = person("alice"), person("bob")
SOURCE = Seeded("envelope")
FLIGHT = first_flight(ALICE, BOB, SOURCE)
KEYS = [(BOB.secrets.seal, BOB.statement.hash)]


def reseal(plaintext: bytes) -> bytes:
    """Any plaintext, sealed to Bob with the right info."""
    padded = plaintext.ljust(16_514 - SEAL_OVERHEAD, b"\x00")
    return SOURCE.seal(BOB.statement.seal.handle, labels.SEAL + BOB.statement.hash, padded)


def test_the_first_message_is_laid_out_as_specified() -> None:
    """[R-6.3-1] [R-6.3-4]"""
    prefix, address = FLIGHT.prefix, FLIGHT.prefix.address
    tokens = b"".join(address.tokens.tokens)
    relay = lp(b"r" * 253) + u16(443) + address.relay.fingerprint
    where = relay + address.mailbox + address.lookup + address.key + address.spare
    where += u8(64) + u64(address.tokens.expires) + tokens
    opening = prefix.opening
    expected = b"".join(
        (
            u16(1), u8(1), ALICE.device.id, BOB.device.id, opening.ephemeral.raw, opening.ciphertext,
            BOB.manifest.hash, BOB.statement.hash, u8(0), ALICE.root.public.raw, lp(ALICE.manifest.raw), lp(where),
        )
    )  # fmt: skip
    assert prefix.encode() == expected
    info = b"troth/1 seal" + BOB.statement.hash
    opened = seal_open(BOB.secrets.seal.handle, info, FLIGHT.sealed)
    assert opened is not None
    assert opened.rstrip(b"\x00") == (expected + lp(FLIGHT.message)).rstrip(b"\x00")


def test_sizes_with_one_device_and_the_longest_host() -> None:
    """[R-6.3-3] [R-10.2-6]: 14,666 bytes used of 16,514, with 64 tokens."""
    assert len(FLIGHT.prefix.address.tokens.tokens) == envelope.FIRST_TOKENS == 64
    used = len(FLIGHT.prefix.encode() + lp(FLIGHT.message)) + SEAL_OVERHEAD
    assert used == 14_666
    assert len(FLIGHT.sealed) == session.WIRE_SIZES[2] == 16_514


def test_sizes_with_five_devices() -> None:
    """[R-6.3-3]: the next bucket."""
    devices = tuple(make_device(ALICE.signing, f"envelope {number}")[0] for number in range(5))
    raw = manifest.create(ALICE.root, 2, ALICE.manifest.hash, NOW, devices, SOURCE)
    prefix = replace(FLIGHT.prefix, manifest_a=raw, device_a=devices[3].id)
    sealed = envelope.seal(prefix.encode(), FLIGHT.message, BOB.statement.seal, BOB.statement.hash, SOURCE)
    assert len(sealed) == session.WIRE_SIZES[3] == 65_666
    found, party, stale = envelope.verify_sender(envelope.unseal(sealed, KEYS).prefix, NOW)
    assert (found.version, party.device_id, stale) == (2, devices[3].id, False)


def test_what_was_sealed_is_read() -> None:
    """[R-6.3-1] [R-6.4-1]"""
    first = envelope.unseal(FLIGHT.sealed, KEYS)
    assert first.message == FLIGHT.message
    assert first.prefix == FLIGHT.prefix
    assert accept(BOB, FLIGHT.sealed)[1].content == b"hello"


def test_every_live_seal_key_is_tried() -> None:
    """[R-6.4-1]"""
    other = keys.SealPrivateKey.generate(SOURCE)
    wrong = (other, bytes(32))
    assert envelope.unseal(FLIGHT.sealed, [wrong, *KEYS]).message == FLIGHT.message
    for candidates in ([], [wrong], [(other, BOB.statement.hash)], [(BOB.secrets.seal, bytes(32))]):
        with pytest.raises(SealError, match="no live sealing key"):
            envelope.unseal(FLIGHT.sealed, candidates)


def test_an_altered_or_cut_envelope_is_refused() -> None:
    """[R-6.4-1]"""
    sealed = FLIGHT.sealed
    for place in [*range(0, len(sealed), 499), len(sealed) - 1]:
        with pytest.raises(SealError):
            envelope.unseal(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], KEYS)
    for wrong in (b"", sealed[:-1], sealed + b"\x00", sealed[:1_154]):
        with pytest.raises(SealError, match="is not a first message's size"):
            envelope.unseal(wrong, KEYS)


def test_malformed_plaintexts_are_refused() -> None:
    """[R-6.3-4] [R-6.4-1]: sealed correctly, by a sender who breaks the rules."""
    plain = FLIGHT.prefix.encode() + lp(FLIGHT.message)
    leaf, root = 3 + 32 + 32 + 1_088 + 64, 3 + 32 + 32 + 1_088 + 65
    length = root + 1_984
    bad: list[tuple[bytes, type[PeerError]]] = [
        (u16(2) + plain[2:], DecodeError),
        (plain[:2] + b"\x02" + plain[3:], DecodeError),
        (plain[:2] + b"\x00" + plain[3:leaf] + b"\x01" + plain[leaf + 1 :], DecodeError),
        (plain[:leaf] + b"\x80" + plain[leaf + 1 :], DecodeError),
        (plain[:35] + bytes(32) + plain[67:], BadKey),
        (plain[:length] + b"\xff\xff\xff\xff" + plain[length + 4 :], DecodeError),
        (FLIGHT.prefix.encode() + lp(FLIGHT.message[:-1]), DecodeError),
        (plain + b"\x01", DecodeError),
        (b"", DecodeError),
    ]
    for plaintext, error in bad:
        with pytest.raises(error):
            envelope.unseal(reseal(plaintext), KEYS)


def test_the_sender_is_verified_up_to_the_root_key() -> None:
    """[R-6.4-1]"""
    found, party, stale = envelope.verify_sender(FLIGHT.prefix, NOW)
    assert (found, party, stale) == (ALICE.manifest, ALICE.party, False)
    eve = person("eve")
    raw = FLIGHT.prefix.manifest_a
    bad: list[tuple[Prefix, type[PeerError]]] = [
        (replace(FLIGHT.prefix, root_a=eve.root.public), Mismatch),
        (replace(FLIGHT.prefix, manifest_a=eve.manifest.raw), Mismatch),
        (replace(FLIGHT.prefix, manifest_a=raw[:-1] + bytes([raw[-1] ^ 1])), BadSignature),
        (replace(FLIGHT.prefix, device_a=eve.device.id), Mismatch),
    ]
    for prefix, error in bad:
        with pytest.raises(error):
            envelope.verify_sender(prefix, NOW)


def test_a_stale_manifest_is_accepted_for_thirty_days_and_marked() -> None:
    """[R-4.2-4] [R-6.4-1]"""
    expires = ALICE.manifest.expires
    assert envelope.verify_sender(FLIGHT.prefix, expires - 1)[2] is False
    assert envelope.verify_sender(FLIGHT.prefix, expires)[2] is True
    with pytest.raises(Expired):
        envelope.verify_sender(FLIGHT.prefix, expires + 30 * DAY)


def test_a_return_address_reads_back_and_refuses_malformed_ones() -> None:
    """[R-10.2-6]"""
    address = FLIGHT.prefix.address
    assert ReturnAddress.decode(address.encode()) == address
    bare = replace(address, tokens=NO_TOKENS)
    assert ReturnAddress.decode(bare.encode()) == bare
    raw, head = bare.encode(), len(bare.encode()) - 9
    for wrong in (raw[:-1], raw + b"\x00", b"", raw[:head] + u8(0) + u64(5), raw[:head] + u8(1) + u64(0) + bytes(32)):
        with pytest.raises(DecodeError):
            ReturnAddress.decode(wrong)
    assert len(replace(address, tokens=address.tokens._replace(tokens=(bytes(32),) * 255)).encode()) == (
        envelope.MAX_RETURN_ADDRESS
    )


def test_a_repeated_prefix_carries_the_next_message() -> None:
    """[R-6.3-1]: until B answers, A sends its prefix before every message of the session."""
    started, second = session.encrypt(FLIGHT.session, TEXT, b"again", randomness=SOURCE)
    assert started.ratchet.sending != FLIGHT.session.ratchet.sending
    sealed = envelope.seal(FLIGHT.prefix.encode(), second, BOB.statement.seal, BOB.statement.hash, SOURCE)
    bob, _ = accept(BOB, FLIGHT.sealed)
    again = envelope.unseal(sealed, KEYS)
    assert again.prefix.opening == FLIGHT.prefix.opening
    assert session.decrypt(bob, again.message, now=NOW)[1].content == b"again"


def test_last_resort_openings_name_no_leaf() -> None:
    flight = first_flight(ALICE, BOB, SOURCE, None)
    assert (flight.prefix.opening.mode, flight.prefix.opening.leaf_index) == (Mode.LAST_RESORT, 0)
    assert accept(BOB, flight.sealed)[1].content == b"hello"
