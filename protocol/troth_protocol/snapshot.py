"""States to bytes and back, for the vault; local to one client, never sent. SPEC.md section 13.3.

Every snapshot begins with a format byte; another client's snapshots are nobody else's business, so only round trips
and refusals are promised.
"""

from __future__ import annotations

from typing import Final, assert_never

from .chain import ChainKey, HeaderKey, MessageKey, PqRoot, RootKey
from .encoding import Reader, lp, u8, u16, u32, u64
from .frame import CIPHERTEXT_SYMBOLS, KEY_SYMBOLS
from .keys import DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey, SealPrivateKey
from .pairing import Held, Pair
from .pq_chains import QuantumChains, QuantumReceiving, QuantumSending
from .pq_exchange import Exchange, HaveKey, Idle, ReceiveCiphertext, Received, ReceiveKey, SendCiphertext, SendKey
from .pq_exchange import State as ExchangeState
from .prekeys import BATCH, BATCH_ID_SIZE, OneTimeSecret, PrekeySecrets
from .primitives import MLKEM_PUBLIC_SIZE, MLKEM_SEED_SIZE
from .ratchet import Due, Kept, Ratchet, Receiving, Responder, Sending, SkippedChain
from .session import Session

FORMAT: Final = 1
_MOST: Final = 2_000
_NEVER: Final = 0xFFFF_FFFF_FFFF_FFFF


def encode_pair(pair: Pair) -> bytes:
    """A pair of sessions as bytes."""
    return u8(FORMAT) + _held(pair.active) + _held(pair.draining) + time_or_never(pair.replaced)


def decode_pair(raw: bytes) -> Pair:
    """The pair of ``encode_pair``; DecodeError."""
    reader = Reader(raw)
    reader.u8("pair format", FORMAT, FORMAT)
    pair = Pair(_read_held(reader), _read_held(reader), read_time_or_never(reader))
    reader.end()
    return pair


def encode_prekeys(secrets: PrekeySecrets) -> bytes:
    """Private prekeys as bytes; used one-time pairs leave a zero behind."""
    one_time = b"".join(u8(0) if pair is None else u8(1) + pair.dh + pair.kem_seed for pair in secrets.one_time)
    seal = secrets.seal.kem.seed + secrets.seal.dh.raw
    return u8(FORMAT) + secrets.spk.raw + secrets.pqspk.seed + seal + secrets.batch + one_time


def decode_prekeys(raw: bytes) -> PrekeySecrets:
    """The secrets of ``encode_prekeys``; DecodeError."""
    reader = Reader(raw)
    reader.u8("prekey format", FORMAT, FORMAT)
    spk, pqspk = _read_dh(reader), _read_kem(reader)
    seal = SealPrivateKey(_read_kem(reader), _read_dh(reader))
    batch = reader.fixed("batch", BATCH_ID_SIZE)
    one_time = tuple(
        OneTimeSecret(reader.fixed("dh", 32), reader.fixed("kem", MLKEM_SEED_SIZE)) if reader.u8("left", 1) else None
        for _ in range(BATCH)
    )
    reader.end()
    return PrekeySecrets(spk, pqspk, seal, batch, one_time)


def time_or_never(value: int | None) -> bytes:
    """A time of 8 bytes, or all ones for none."""
    return u64(_NEVER if value is None else value)


def read_time_or_never(reader: Reader) -> int | None:
    """The time, or None."""
    value = reader.u64("time")
    return None if value == _NEVER else value


def _read_dh(reader: Reader) -> DhPrivateKey:
    return DhPrivateKey.load(reader.fixed("X25519 private", 32))


def _read_kem(reader: Reader) -> KemPrivateKey:
    return KemPrivateKey(reader.fixed("ML-KEM seed", MLKEM_SEED_SIZE))


def _held(held: Held | None) -> bytes:
    if held is None:
        return u8(0)
    times = time_or_never(held.first_received) + time_or_never(held.drains_until)
    return u8(1) + u8(held.own) + u8(held.revivable) + times + _session(held.session)


def _read_held(reader: Reader) -> Held | None:
    if not reader.u8("held", 1):
        return None
    own, revivable = bool(reader.u8("own", 1)), bool(reader.u8("revivable", 1))
    first_received, drains_until = read_time_or_never(reader), read_time_or_never(reader)
    return Held(_read_session(reader), own, first_received, drains_until, revivable)


def _session(session: Session) -> bytes:
    head = session.sid + session.transcript + u8(session.initiator)
    return head + _ratchet(session.ratchet) + _chains(session.chains) + _exchange(session.exchange)


def _read_session(reader: Reader) -> Session:
    sid, transcript = reader.fixed("sid", 32), reader.fixed("transcript", 32)
    initiator = bool(reader.u8("initiator", 1))
    return Session(sid, transcript, initiator, _read_ratchet(reader), _read_chains(reader), _read_exchange(reader))


def _ratchet(ratchet: Ratchet) -> bytes:
    sending = ratchet.sending
    match sending:
        case Responder(ours):
            side = u8(0) + ours.raw
        case Due(theirs, previous_length):
            side = u8(1) + theirs.raw + u32(previous_length)
        case Sending(ours, key, header_key, n, previous_length):
            side = u8(2) + ours.raw + key + header_key + u32(n) + u32(previous_length)
        case _:
            assert_never(sending)
    receiving = ratchet.receiving
    other = u8(0) if receiving is None else u8(1) + receiving.key + receiving.header_key + u32(receiving.n)
    skipped = b"".join(
        old.header_key + u16(len(old.keys)) + b"".join(u32(n) + _kept(kept) for n, kept in old.keys.items())
        for old in ratchet.skipped
    )
    keys = ratchet.root + ratchet.next_send_header + ratchet.next_receive_header
    return keys + side + other + u8(len(ratchet.skipped)) + skipped


def _read_ratchet(reader: Reader) -> Ratchet:
    root = RootKey(reader.fixed("root", 32))
    send_header, receive_header = HeaderKey(reader.fixed("nhk", 32)), HeaderKey(reader.fixed("nhk", 32))
    kind = reader.u8("sending side", 2)
    sending: Responder | Due | Sending
    if kind == 0:
        sending = Responder(_read_dh(reader))
    elif kind == 1:
        sending = Due(DhPublicKey(reader.fixed("theirs", 32)), reader.u32("pn"))
    else:
        ours, key, header_key = _read_dh(reader), _read_chain(reader), HeaderKey(reader.fixed("hk", 32))
        sending = Sending(ours, key, header_key, reader.u32("n"), reader.u32("pn"))
    receiving = None
    if reader.u8("receiving", 1):
        receiving = Receiving(_read_chain(reader), HeaderKey(reader.fixed("hk", 32)), reader.u32("n"))
    skipped = tuple(_read_skipped(reader) for _ in range(reader.u8("skipped chains", 64)))
    return Ratchet(root, send_header, receive_header, sending, receiving, skipped)


def _read_skipped(reader: Reader) -> SkippedChain:
    header_key = HeaderKey(reader.fixed("hk", 32))
    count = reader.u16("skipped", _MOST)
    return SkippedChain(header_key, {reader.u32("n"): _read_kept(reader) for _ in range(count)})


def _kept(kept: Kept) -> bytes:
    return kept[0] + u64(kept[1])


def _read_kept(reader: Reader) -> Kept:
    return MessageKey(reader.fixed("mk", 32)), reader.u64("kept")


def _read_chain(reader: Reader) -> ChainKey:
    return ChainKey(reader.fixed("chain key", 32))


def _optional(key: ChainKey | None) -> bytes:
    return u8(0) if key is None else u8(1) + key


def _read_optional(reader: Reader) -> ChainKey | None:
    return _read_chain(reader) if reader.u8("next chain", 1) else None


def _chains(chains: QuantumChains) -> bytes:
    sending, receiving = chains.sending, chains.receiving
    skipped = b"".join(u32(chain) + u32(i) + _kept(kept) for (chain, i), kept in chains.skipped.items())
    return b"".join(
        (
            u32(sending.number), sending.key, u32(sending.i), u32(sending.previous_length),
            u32(receiving.number), receiving.key, u32(receiving.i),
            _optional(chains.next_sending), _optional(chains.next_receiving), u16(len(chains.skipped)), skipped,
        )
    )  # fmt: skip


def _read_chains(reader: Reader) -> QuantumChains:
    sending = QuantumSending(reader.u32("number"), _read_chain(reader), reader.u32("i"), reader.u32("ppn"))
    receiving = QuantumReceiving(reader.u32("number"), _read_chain(reader), reader.u32("i"))
    following = _read_optional(reader), _read_optional(reader)
    count = reader.u16("skipped", _MOST)
    skipped = {(reader.u32("chain"), reader.u32("i")): _read_kept(reader) for _ in range(count)}
    return QuantumChains(sending, receiving, *following, skipped)


def _exchange(exchange: Exchange) -> bytes:
    state = exchange.state
    match state:
        case Idle(epoch, mac_key):
            rest = u8(0) + u32(epoch) + mac_key
        case SendKey(epoch, key, payload, position):
            rest = u8(1) + u32(epoch) + key.seed + lp(payload) + u8(position)
        case ReceiveCiphertext(epoch, key, have):
            rest = u8(2) + u32(epoch) + key.seed + _symbols(have)
        case ReceiveKey(epoch, mac_key, have):
            rest = u8(3) + u32(epoch) + mac_key + _symbols(have)
        case HaveKey(epoch, public):
            rest = u8(4) + u32(epoch) + public.raw
        case SendCiphertext(epoch, mac_key, payload, position):
            rest = u8(5) + u32(epoch) + mac_key + lp(payload) + u8(position)
        case _:
            assert_never(state)
    return exchange.root + exchange.auth + rest


def _symbols(have: Received) -> bytes:
    return u8(len(have)) + b"".join(u8(index) + have[index] for index in sorted(have))


def _read_symbols(reader: Reader, total: int) -> Received:
    count = reader.u8("symbols", total - 1)
    return {reader.u8("symbol", total - 1): reader.fixed("symbol", 32) for _ in range(count)}


def _read_exchange(reader: Reader) -> Exchange:
    root, auth = PqRoot(reader.fixed("pq root", 32)), reader.fixed("auth", 32)
    kind, epoch = reader.u8("exchange state", 5), reader.u32("epoch")
    state: ExchangeState
    if kind == 0:
        state = Idle(epoch, reader.fixed("mac key", 32))
    elif kind == 1:
        state = SendKey(epoch, _read_kem(reader), reader.lp("payload", 2_000), reader.u8("position"))
    elif kind == 2:
        state = ReceiveCiphertext(epoch, _read_kem(reader), _read_symbols(reader, CIPHERTEXT_SYMBOLS))
    elif kind == 3:
        state = ReceiveKey(epoch, reader.fixed("mac key", 32), _read_symbols(reader, KEY_SYMBOLS))
    elif kind == 4:
        state = HaveKey(epoch, KemPublicKey(reader.fixed("ek", MLKEM_PUBLIC_SIZE)))
    else:
        mac_key, payload = reader.fixed("mac key", 32), reader.lp("payload", 2_000)
        state = SendCiphertext(epoch, mac_key, payload, reader.u8("position"))
    return Exchange(root, auth, state)
