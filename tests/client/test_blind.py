"""The relay's files and its process after a conversation: nothing in them says who, what or to whom. [R-10.1-1]"""

from __future__ import annotations

from collections.abc import Iterator

from troth_client.demo import Stage, introduce, stage, wait_until
from troth_client.events import Add, SendText
from troth_protocol.card import Card
from troth_protocol.manifest import parse
from troth_protocol.token import mailbox_hash

TEXTS = ("the meeting is at nine", "bring the documents", "\N{SNOWMAN} and nobody else")


def needles(set_up: Stage) -> Iterator[tuple[str, bytes]]:
    """Everything that identifies a person or a text, in the forms in which it could lie on a disk."""
    for text in TEXTS:
        yield "text", text.encode()
    for name, driver in (("you", set_up.you), ("other", set_up.other)):
        own = driver._messenger.own
        manifest = parse(own.manifest, own.root.public)
        yield f"{name}: name", own.name.encode().ljust(4, b"\x00")
        yield f"{name}: fingerprint", own.fingerprint
        yield f"{name}: fingerprint in hex", own.fingerprint.hex().encode()
        yield f"{name}: manifest hash", manifest.hash
        yield f"{name}: mailbox id", own.mailbox
        yield f"{name}: owner secret", own.owner_secret
        yield f"{name}: Ed25519 root key", own.root.public.raw[:32]
        yield f"{name}: ML-DSA root key", own.root.public.raw[32:96]
        for device in manifest.devices:
            yield f"{name}: device id", device.id
            yield f"{name}: Ed25519 device key", device.signing.raw[:32]
            yield f"{name}: ML-DSA device key", device.signing.raw[32:96]
            yield f"{name}: X25519 identity", device.identity.raw
            yield f"{name}: ML-KEM identity", device.kem_identity.raw[:64]
        for _, card in driver._messenger._journal.cards.items():
            yield f"{name}: lookup id", card.lookup
            yield f"{name}: card key", card.key
            if card.uses:
                yield f"{name}: capability", card.capability
        for _, generation in driver._messenger._journal.generations.items():
            yield f"{name}: prekey statement hash", generation.hash
            yield f"{name}: signed prekey", generation.secrets.spk.public.raw
            yield f"{name}: sealing key", generation.secrets.seal.public.raw[:64]
        for _, peer in driver._messenger._journal.peers.items():
            yield f"{name}: spare", peer.spare
            for held in (peer.pair.active, peer.pair.draining):
                if held is not None:
                    yield f"{name}: session id", held.session.sid
                    yield f"{name}: transcript", held.session.transcript


async def test_the_relays_files_name_nobody() -> None:
    """A-44: after first contact, a conversation and a queued message, every file of the relay is searched."""
    async with stage() as set_up:
        await introduce(set_up)
        you, other = set_up.you.own_fingerprint, set_up.other.own_fingerprint
        for text in TEXTS[:2]:
            await set_up.you.do(SendText(other, text))
            await wait_until(lambda t=text: shown(set_up, t), set_up.other)  # type: ignore[misc]
        unread = await set_up.other.make_card(3)
        assert Card.from_link(unread).fingerprint == other
        await set_up.other.do(SendText(you, TEXTS[2]))
        await set_up.other.settle(10)
        files = [path for path in set_up.data.rglob("*") if path.is_file()]
        contents = {path.name: path.read_bytes() for path in files}
        assert "relay.db" in contents
        assert len(contents["relay.db"]) + len(contents.get("relay.db-wal", b"")) > 100_000
        hashed = mailbox_hash(set_up.you._messenger.own.mailbox)
        assert any(hashed in content for content in contents.values()), "the search finds what is there"
        seen = 0
        for what, needle in needles(set_up):
            seen += 1
            if needle.strip(b"\x00") in {b"You", b"Ada"}:
                continue  # three letters occur by chance; the longer needles of the same people do not
            for name, content in contents.items():
                assert needle not in content, f"{what} stands in {name}"
        assert seen > 40


def shown(set_up: Stage, text: str) -> bool:
    """Whether the other has read a text."""
    return any(line.text == text for line in set_up.other.history(set_up.you.own_fingerprint))


async def test_a_person_cannot_be_looked_up() -> None:
    """Without a card there is no way in: a right lookup id with a wrong capability is refused like an unknown one."""
    async with stage() as set_up:
        card = Card.from_link(await set_up.other.make_card())
        wrong = Card(card.relay, card.lookup, card.key, card.fingerprint, bytes(32))
        await set_up.you.do(Add(wrong, "nobody"))
        await wait_until(lambda: set_up.you.contacts()[0].standing.name == "REFUSED", set_up.you)
