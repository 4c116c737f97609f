"""The manifest: what is signed, its times, and the pin that a relay cannot take back."""

from __future__ import annotations

from typing import Final

import pytest

from simulator import NOW, Seeded, make_device, person
from troth_protocol import keys, manifest
from troth_protocol.encoding import sha256, u8, u16, u64
from troth_protocol.errors import BadKey, BadSignature, DecodeError, Expired, Fork, Mismatch, Rollback
from troth_protocol.manifest import DAY, LIFETIME, History, Manifest

SOURCE = Seeded("manifest")
ROOT = keys.SigningKey.generate(SOURCE)
SIGNING = keys.SigningKey.generate(SOURCE)
DEVICES: Final = tuple(make_device(SIGNING, f"device {number}")[0] for number in range(6))


def make(version: int = 1, previous: bytes = bytes(32), count: int = 1, issued: int = NOW) -> Manifest:
    """A manifest of this root, as others read it."""
    return manifest.parse(manifest.create(ROOT, version, previous, issued, DEVICES[:count], SOURCE), ROOT.public)


def test_the_body_is_laid_out_as_the_specification_says() -> None:
    """[R-4.2-1]"""
    made = make(7, bytes(range(32)), 2)
    head = u16(1) + ROOT.public.fingerprint() + u64(7) + bytes(range(32)) + u64(NOW) + u64(NOW + LIFETIME) + u8(2)
    body = head + DEVICES[0].encode() + DEVICES[1].encode()
    assert made.raw[: len(body)] == body
    assert len(made.raw) == len(body) + keys.SIGNATURE_SIZE
    ROOT.public.verify(b"manifest", body, made.raw[len(body) :], "manifest")
    assert len(DEVICES[0].encode()) == 3_220
    assert made.devices == DEVICES[:2]


def test_hash_and_signature_are_over_the_bytes_as_received() -> None:
    """[R-2-6]: signing anew gives another hash, since ML-DSA is randomised; so a version is signed once. [R-4.2-1]"""
    one, other = make(), make()
    assert one.raw != other.raw
    assert one.hash == sha256(one.raw) != other.hash
    history = History().check_served(one)
    with pytest.raises(Fork):
        history.check_served(other)


def test_sizes() -> None:
    assert len(make().raw) == manifest.SINGLE_DEVICE_SIZE
    assert len(make(count=5).raw) == manifest.MAX_SIZE


def test_one_to_five_devices() -> None:
    """[R-4.2-2]"""
    for count in (0, 6):
        raw = manifest.create(ROOT, 1, bytes(32), NOW, DEVICES[:count], SOURCE)
        with pytest.raises(DecodeError, match="manifest device count"):
            manifest.parse(raw, ROOT.public)


def test_versions_count_from_one() -> None:
    """[R-2-3] a signed version 0 is out of range."""
    with pytest.raises(DecodeError, match="manifest version"):
        make(version=0)


def test_every_region_is_signed() -> None:
    """[R-4.2-2]: a bit flipped anywhere, a byte less or more, another root."""
    raw = make().raw
    places = [*range(91), 91, 107, 139, 2_091, 2_123, 3_310, *range(3_311, len(raw), 97), len(raw) - 1]
    for place in places:
        forged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises((DecodeError, Mismatch, BadSignature)):
            manifest.parse(forged, ROOT.public)
    for cut in (raw[:-1], raw + b"\x00", raw[:90], b""):
        with pytest.raises(DecodeError):
            manifest.parse(cut, ROOT.public)
    with pytest.raises(Mismatch, match="another account"):
        manifest.parse(raw, person("alice").root.public)


def test_two_devices_may_not_share_an_id() -> None:
    """[R-4.2-2]"""
    raw = manifest.create(ROOT, 1, bytes(32), NOW, (DEVICES[0], DEVICES[0]), SOURCE)
    with pytest.raises(Mismatch, match="share an id"):
        manifest.parse(raw, ROOT.public)


@pytest.mark.parametrize("lifetime", [0, -1, LIFETIME + 1])
def test_a_lifetime_is_positive_and_at_most_ninety_days(lifetime: int) -> None:
    """[R-4.2-3]"""
    body = b"".join(
        (u16(1), ROOT.public.fingerprint(), u64(1), bytes(32), u64(NOW), u64(NOW + lifetime), u8(1))
    )  # fmt: skip
    body += DEVICES[0].encode()
    with pytest.raises(DecodeError, match="manifest expires"):
        manifest.parse(body + ROOT.sign(b"manifest", body, SOURCE), ROOT.public)


def test_a_manifest_is_used_only_in_its_time() -> None:
    """[R-4.2-3]: 90 days, renewed at 45; a clock may be a day behind the signer's."""
    made = make()
    assert (made.issued, made.expires) == (NOW, NOW + 90 * DAY)
    assert manifest.RENEW_AFTER == 45 * DAY
    for good in (NOW - DAY, NOW, made.expires - 1):
        made.check_time(good)
    for bad in (NOW - DAY - 1, made.expires, made.expires + DAY):
        with pytest.raises(Expired):
            made.check_time(bad)


def test_a_first_message_is_granted_thirty_days_more() -> None:
    """[R-4.2-4]"""
    made = make()
    made.check_time(made.expires + manifest.STALE_GRACE - 1, manifest.STALE_GRACE)
    with pytest.raises(Expired):
        made.check_time(made.expires + 30 * DAY, manifest.STALE_GRACE)


def test_a_relay_may_not_serve_below_the_pin() -> None:
    """[R-4.2-5]"""
    first = make(1)
    second = make(2, first.hash)
    history = History().check_served(first).check_served(second)
    assert history.pin == 2
    assert history.check_served(second).pin == 2
    with pytest.raises(Rollback):
        history.check_served(first)
    with pytest.raises(Rollback):
        History({5: bytes(32)}).check_served(make(4))


def test_a_version_has_one_content() -> None:
    """[R-4.2-5]"""
    history = History().check_served(make(3))
    for check in (history.check_served, history.check_queued):
        with pytest.raises(Fork, match="two contents"):
            check(make(3))


def test_a_lower_known_version_in_a_queued_message_is_old_news() -> None:
    """[R-4.2-5]"""
    first = make(1)
    second = make(2, first.hash)
    history = History().check_served(first).check_served(second)
    assert history.check_queued(first) == history
    assert History().check_served(second).check_queued(first).pin == 2


def test_a_manifest_names_the_one_before_it() -> None:
    """[R-4.2-6]"""
    history = History().check_served(make(1))
    stranger = make(2, b"\x01" * 32)
    for check in (history.check_served, history.check_queued):
        with pytest.raises(Fork, match="does not follow"):
            check(stranger)
    assert history.check_served(make(3, b"\x01" * 32)).pin == 3  # a version we never saw lies between


def test_a_device_is_found_by_its_id() -> None:
    made = make(count=3)
    assert made.device(DEVICES[2].id) is made.devices[2]
    with pytest.raises(Mismatch):
        made.device(DEVICES[3].id)


def test_a_signed_manifest_with_a_bad_key_is_refused() -> None:
    """[R-3.1-2]"""
    good = DEVICES[0].encode()
    identity = 16 + 1_984
    body = u16(1) + ROOT.public.fingerprint() + u64(1) + bytes(32) + u64(NOW) + u64(NOW + LIFETIME) + u8(1)
    body += good[:identity] + bytes(32) + good[identity + 32 :]
    with pytest.raises(BadKey):
        manifest.parse(body + ROOT.sign(b"manifest", body, SOURCE), ROOT.public)
