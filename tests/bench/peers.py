"""The rows of the bench, done by other people's libraries; what each leaves out is in README.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import vodozemac
from doubleratchet import DoubleRatchet
from doubleratchet.recommended import (
    HashFunction,
    aead_aes_hmac,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)
from x3dh import BaseState, IdentityKeyFormat
from x3dh import HashFunction as X3dhHash

BODY: Final = bytes(1_024)
SECRET: Final = b"s" * 32


def completed(library_class: Any, **methods: Callable[..., Any]) -> Any:
    """An abstract class of a library with its abstract static methods filled in."""
    return type(library_class)(
        "Completed", (library_class,), {name: staticmethod(made) for name, made in methods.items()}
    )


def associated_with(associated_data: bytes, header: Any) -> bytes:
    """A header beside its associated data, in one way only."""
    lengths = header.previous_sending_chain_length.to_bytes(4, "big") + header.sending_chain_length.to_bytes(4, "big")
    return b"".join((associated_data, header.ratchet_pub, lengths))


def hash_function() -> Any:
    """SHA-256 everywhere."""
    return HashFunction.SHA_256


Ratchet: Final = completed(DoubleRatchet, _build_associated_data=associated_with)
Agreement: Final = completed(BaseState, _encode_public_key=lambda key_format, pub: key_format.value.encode() + pub)
PARTS: Final[dict[str, Any]] = {
    "diffie_hellman_ratchet_class": diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
    "root_chain_kdf": completed(kdf_hkdf.KDF, _get_hash_function=hash_function, _get_info=lambda: b"bench root"),
    "message_chain_kdf": completed(kdf_separate_hmacs.KDF, _get_hash_function=hash_function),
    "message_chain_constant": b"\x01\x02",
    "dos_protection_threshold": 1_000,
    "max_num_skipped_message_keys": 2_000,
    "aead": completed(aead_aes_hmac.AEAD, _get_hash_function=hash_function, _get_info=lambda: b"bench aead"),
}


def in_loop(body: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """An asynchronous run as a plain call; one event loop for all of its operations."""
    return lambda: asyncio.run(body())


async def _pair() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    one, first = await Ratchet.encrypt_initial_message(
        **PARTS, shared_secret=SECRET, recipient_ratchet_pub=public, message=b"hello", associated_data=b""
    )
    other, _ = await Ratchet.decrypt_initial_message(
        **PARTS, shared_secret=SECRET, own_ratchet_priv=own.private_bytes_raw(), message=first, associated_data=b""
    )
    return one, other


def ratchet_encrypt(count: int) -> Callable[[], None]:
    """DoubleRatchet: a chain of messages."""
    one, _ = asyncio.run(_pair())

    async def run() -> None:
        for _ in range(count):
            await one.encrypt_message(BODY, b"")

    return in_loop(run)


def ratchet_decrypt(count: int) -> Callable[[], None]:
    """DoubleRatchet: the same, read in order."""
    one, other = asyncio.run(_pair())

    async def prepare() -> list[Any]:
        return [await one.encrypt_message(BODY, b"") for _ in range(count)]

    messages = asyncio.run(prepare())

    async def run() -> None:
        for message in messages:
            await other.decrypt_message(message, b"")

    return in_loop(run)


def ratchet_alternate(count: int) -> Callable[[], None]:
    """DoubleRatchet: a step each message."""
    sides = asyncio.run(_pair())

    async def run() -> None:
        for turn in range(count):
            message = await sides[1 - turn % 2].encrypt_message(BODY, b"")
            await sides[turn % 2].decrypt_message(message, b"")

    return in_loop(run)


def x3dh_handshakes(count: int) -> Callable[[], None]:
    """X3DH with the library's signed prekey and one-time key, then DoubleRatchet's first message, both sides."""
    alice, bob = (Agreement.create(IdentityKeyFormat.ED_25519, X3dhHash.SHA_256, b"bench") for _ in range(2))
    bob.generate_pre_keys(100)
    bundle = bob.bundle

    async def run() -> None:
        for _ in range(count):
            shared, associated, header = await alice.get_shared_secret_active(bundle)
            _, first = await Ratchet.encrypt_initial_message(
                **PARTS, shared_secret=shared, recipient_ratchet_pub=bundle.signed_pre_key, message=b"hello",
                associated_data=associated,
            )  # fmt: skip
            theirs, associated, prekey = await bob.get_shared_secret_passive(header)
            await Ratchet.decrypt_initial_message(
                **PARTS, shared_secret=theirs, own_ratchet_priv=prekey.priv, message=first, associated_data=associated
            )

    return in_loop(run)


def _olm() -> tuple[Any, Any]:
    alice, bob = vodozemac.Account(), vodozemac.Account()
    bob.generate_one_time_keys(1)
    one = alice.create_outbound_session(bob.curve25519_key, next(iter(bob.one_time_keys.values())))
    other, _ = bob.create_inbound_session(alice.curve25519_key, one.encrypt(b"hello").to_pre_key())
    one.decrypt(other.encrypt(b"answer"))
    return one, other


def olm_encrypt(count: int) -> Callable[[], None]:
    """Olm: a chain of messages."""
    one, _ = _olm()

    def run() -> None:
        for _ in range(count):
            one.encrypt(BODY)

    return run


def olm_decrypt(count: int) -> Callable[[], None]:
    """Olm: the same, read in order."""
    one, other = _olm()
    messages = [one.encrypt(BODY) for _ in range(count)]

    def run() -> None:
        for message in messages:
            other.decrypt(message)

    return run


def olm_alternate(count: int) -> Callable[[], None]:
    """Olm: a step each message."""
    sides = _olm()

    def run() -> None:
        for turn in range(count):
            sides[1 - turn % 2].decrypt(sides[turn % 2].encrypt(BODY))

    return run


def olm_handshakes(count: int) -> Callable[[], None]:
    """Olm: 3DH with one-time keys made beforehand, and the first message, both sides."""
    alice, bob = vodozemac.Account(), vodozemac.Account()
    keys: list[Any] = []
    bob.generate_one_time_keys(min(count, 50))
    keys = list(bob.one_time_keys.values())

    def run() -> None:
        for turn in range(min(count, len(keys))):
            one = alice.create_outbound_session(bob.curve25519_key, keys[turn])
            bob.create_inbound_session(alice.curve25519_key, one.encrypt(b"hello").to_pre_key())

    return run
