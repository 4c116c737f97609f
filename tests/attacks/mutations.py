"""Defences to take away one at a time: with any of them gone, the named tests must fail.

Each entry is a file, text that stands in it once, what replaces it, and the ids of the attacks whose tests notice, or
the tests elsewhere that do. ``test_mutations.py`` applies them to a copy.
"""

from __future__ import annotations

from typing import Final, NamedTuple

P: Final = "protocol/troth_protocol/"
C: Final = "client/troth_client/"
S: Final = "server/troth_server/"


class Mutation(NamedTuple):
    """One defence less; ``noticed`` are attack ids, or places of tests below tests/."""

    file: str
    old: str
    new: str
    noticed: str


EQUIVALENT: Final = Mutation(
    P + "token.py",
    "    good = False\n    for epoch in epochs:",
    "    good = not True\n    for epoch in epochs:",
    "A-47",
)
"""Changes nothing: the tests must pass, or they fail for another reason than a mutation."""

MUTATIONS: Final = (
    # Keys and signatures.
    Mutation(P + "primitives.py", "or u >= _P or u in _LOW_ORDER:", "or u >= _P:", "A-12"),
    Mutation(P + "primitives.py", "or u >= _P or u in _LOW_ORDER:", "or u in _LOW_ORDER:", "A-12"),
    Mutation(P + "keys.py", "if not (classical and quantum and", "if not (classical and", "A-10"),
    Mutation(P + "keys.py", "if not (classical and quantum and", "if not (quantum and", "A-10"),
    Mutation(P + "keys.py", 'labels.SIGNATURE + purpose + b"\\x00"', 'labels.SIGNATURE + b"\\x00"', "A-03"),
    # Manifests.
    Mutation(P + "manifest.py", 'root.verify(labels.SIGN_MANIFEST, raw[:end], raw[end:], "manifest")', "pass", "A-60"),
    Mutation(P + "manifest.py", "if fingerprint != root.fingerprint():", "if False:", "X-11"),
    Mutation(P + "manifest.py", "if now >= self.expires + grace or now", "if now", "A-62"),
    Mutation(P + "manifest.py", "if manifest.version < self.pin:", "if False:", "A-62"),
    Mutation(P + "manifest.py", "if known is not None and known != manifest.hash:", "if False:", "A-51"),
    Mutation(
        P + "manifest.py",
        "if before is not None and manifest.previous != before:",
        "if False:",
        "protocol/test_manifest.py",
    ),
    Mutation(
        P + "manifest.py",
        "if len({device.id for device in devices}) != count:",
        "if False:",
        "protocol/test_manifest.py",
    ),
    # Prekeys and cards.
    Mutation(P + "prekeys.py", "if digest != root:", "if False:", "A-02"),
    Mutation(P + "prekeys.py", "u8(index), dh, sha256(kem))", "u8(index), dh)", "client/test_malicious_relay.py"),
    Mutation(
        P + "prekeys.py",
        'device.signing.verify(labels.SIGN_PREKEYS, body, signature, "prekey statement")',
        "pass",
        "A-01 A-59",
    ),
    Mutation(
        P + "prekeys.py",
        "if (fp, device_id) != (fingerprint, device.id):",
        "if False:",
        "protocol/test_prekeys.py",
    ),
    Mutation(P + "prekeys.py", "if now >= self.expires or now", "if now", "X-07"),
    Mutation(P + "card.py", "if sha256(labels.ACCOUNT, root_raw) != fingerprint:", "if False:", "A-01 A-08"),
    # The handshake.
    Mutation(P + "handshake.py", "u16(SUITE), u8(mode), *map", "u16(SUITE), *map", "protocol/test_handshake.py"),
    Mutation(P + "handshake.py", "a.fingerprint, a.device_id, a.manifest_hash,", "", "A-08"),
    Mutation(P + "handshake.py", "b.fingerprint, b.device_id, b.manifest_hash, offer", "offer", "A-51"),
    Mutation(P + "handshake.py", 'if offer.one_time else b"", offer.kem,', 'if offer.one_time else b"",', "A-04"),
    Mutation(P + "envelope.py", "manifest.device(prefix.device_a)", "manifest.devices[0]", "A-59"),
    Mutation(P + "envelope.py", "manifest.check_time(now, STALE_GRACE)", "pass", "protocol/test_envelope.py"),
    Mutation(C + "intake.py", "if generation is None or prefix.manifest_b != generation.manifest_hash:",
             "if generation is None:", "X-11"),
    Mutation(C + "intake.py", "if prefix.device_b != journal.account.device_id:", "if False:", "X-11"),
    Mutation(C + "intake.py", "one_time[:index], None,", "one_time[:index], secrets.one_time[index],", "A-02"),
    Mutation(C + "intake.py", "seen={**generation.seen, digest: sid}", "seen=generation.seen",
             "client/test_malicious_relay.py"),
    Mutation(C + "intake.py", "    if sid is None:", "    if True:", "client/test_malicious_relay.py"),
    # Ratchets.
    Mutation(P + "session.py", "if (version, flags) != (VERSION, 0):", "if False:", "A-15"),
    Mutation(P + "session.py", "if not primitives.equal(commitment, expected):", "if False:", "A-29"),
    Mutation(P + "session.py", "    pq_exchange.check_tag(session.exchange, tag)\n", "", "A-35"),
    Mutation(P + "session.py", "    pq_chains.check_limits(session.chains, tag, i, ppn)\n", "", "A-21"),
    Mutation(P + "chain.py", "primitives.hkdf(quantum, classical,", "primitives.hkdf(bytes(32), classical,", "A-36"),
    Mutation(P + "chain.py", "labels.MESSAGE + sha256(transcript, header)", "labels.MESSAGE + sha256(transcript)",
             "A-30"),
    Mutation(P + "ratchet.py", "if wanted > MAX_SKIP:", "if False:", "A-21"),
    Mutation(P + "ratchet.py", "in old.keys.items() if index != n}", "in old.keys.items()}", "A-39 A-23"),
    Mutation(P + "pq_chains.py", "in chains.skipped.items() if place != (number, i)}", "in chains.skipped.items()}",
             "A-23"),
    Mutation(P + "ratchet.py", "if position >= drop and kept[1] + SKIPPED_SECONDS > now", "if position >= drop",
             "protocol/test_ratchet.py"),
    Mutation(P + "pq_exchange.py", "if tag != state.epoch or symbols.kind is Kind.NONE:",
             "if symbols.kind is Kind.NONE:", "A-35"),
    Mutation(P + "pq_exchange.py",
             "if not primitives.equal(mac, chain.ciphertext_mac(mac_key, epoch, key_hash, ciphertext)):", "if False:",
             "A-09 A-11 A-35"),
    Mutation(P + "pq_exchange.py", "if not primitives.equal(mac, chain.key_mac(state.mac_key, state.epoch, raw)):",
             "if False:", "A-35 A-36"),
    Mutation(P + "pq_exchange.py",
             'start = position if position < total else int.from_bytes(randomness.draw(4), "big") % total',
             "start = position % total", "A-34"),
    Mutation(P + "pairing.py", "if pair.replaced is not None and now < pair.replaced + REPLACE_EVERY:", "if False:",
             "A-78"),
    Mutation(P + "pairing.py", "if before is not None and not before.own and now < (before.first_received or 0)",
             "if before is not None and now < 0 * (before.first_received or 0)", "protocol/test_pairing.py"),
    Mutation(P + "pairing.py", "if held.revivable and pair.active is not None:", "if pair.active is not None:", "A-32"),
    Mutation(P + "pairing.py", "if own.session.sid < session.sid:", "if True:", "A-20"),
    Mutation(P + "pairing.py", "(held.drains_until is not None and now >= held.drains_until)", "False",
             "protocol/test_pairing.py"),
    Mutation(P + "frame.py", "if raw.count(0, end) != size - end:", "if False:", "protocol/test_frame.py"),
    Mutation(P + "safety.py", "low, high = sorted((one, other))", "low, high = one, other", "A-79"),
    Mutation(P + "ledger.py", "if entry.previous != self.last:", "if False:", "protocol/test_ledger.py"),
    Mutation(P + "ledger.py", "if served < self.length:", "if False:", "protocol/test_ledger.py"),
    # Tokens and mailboxes.
    Mutation(P + "token.py", "good |= matches and now < epoch.expires", "good |= matches", "A-47"),
    Mutation(P + "token.py", "labels.TOKEN + mailbox + nonce", "labels.TOKEN + nonce", "A-47"),
    Mutation(P + "ownership.py", "client_nonce + server_nonce + relay", "client_nonce + relay", "A-49"),
    Mutation(P + "ownership.py", "server_nonce + relay + tls_key_hash", "server_nonce + relay", "A-49"),
    Mutation(P + "ownership.py", "server_nonce + relay + tls_key_hash", "server_nonce + tls_key_hash", "A-49"),
    Mutation(P + "ownership.py", "return hmac.compare_digest(stored(secret), kept)", "return True", "A-49"),
    Mutation(S + "deposit.py", "known = _repeat(found.known, envelope)", "known = None", "A-47"),
    Mutation(S + "deposit.py", "return Verdict.REPEAT if same else Verdict.REFUSE", "return Verdict.REPEAT", "A-47"),
    Mutation(S + "deposit.py", "    if left <= 0:", "    if False:", "X-13"),
    Mutation(S + "deposit.py", "    if not right:", "    if False:", "X-13"),
    Mutation(S + "deposit.py", "if not rested(use.used, now):", "if False:", "server/test_store.py"),
    Mutation(S + "storage/mailboxes.py",
             "return Done() if key is not None and hmac.compare_digest(row[1], command.stored) else Refused()",
             "return Done()", "A-49"),
    Mutation(S + "storage/mailboxes.py", "if box is NO_BOX or (row is not None and row[1] != box.number):",
             "if box is NO_BOX:", "X-17"),
    Mutation(S + "storage/mailboxes.py",
             '"DELETE FROM lookups WHERE hash = ? AND mailbox = ?", (command.lookup, box.number)',
             '"DELETE FROM lookups WHERE hash = ?", (command.lookup,)', "X-17"),
    Mutation(S + "storage/mailboxes.py",
             "if hmac.compare_digest(capability, command.capability) and fetches_left > 0:", "if fetches_left > 0:",
             "A-07 X-17"),
    Mutation(S + "storage/mailboxes.py", "(capability, command.capability) and fetches_left > 0:",
             "(capability, command.capability):", "A-07"),
    Mutation(S + "storage/mailboxes.py", "batch) if leaves_left > 0 else None", "batch)", "A-07"),
    Mutation(S + "storage/mailboxes.py", 'sql.execute("UPDATE leaves SET leaf = NULL WHERE', 'str("',
             "server/test_store.py"),
    Mutation(S + "connection.py", "self._state = Welcomed(None)\n        return _error(request_id, Code.REFUSED)",
             "self._state = Welcomed(nonce)\n        return _error(request_id, Code.REFUSED)", "A-49"),
    Mutation(S + "connection.py", "refusal if self._unproved < UNPROVED else", "refusal if True else", "A-53"),
    Mutation(S + "connection.py", "refusal if self._bad < BAD_FRAMES else", "refusal if True else", "A-53"),
    Mutation(S + "connection.py", "CREATION_WAIT if self._created > CREATIONS else", "0 if True else", "A-53"),
    Mutation(S + "connection.py", "self._subscription is None or not self._subscription.knows(numbers)",
             "self._subscription is None", "server/test_subscription.py"),
    Mutation(S + "subscription.py", "room = self._window - len(self._waiting)", "room = 64",
             "server/test_subscription.py"),
    # The client.
    Mutation(C + "intake.py", "if contact is not None and contact.standing is Standing.DECLINED:", "if False:", "X-15"),
    Mutation(C + "intake.py", "if contact.standing in {Standing.ADDING, Standing.ASKED, Standing.REFUSED} or (",
             "if contact.standing in {Standing.ADDING, Standing.ASKED, Standing.REFUSED, Standing.REQUEST} or (",
             "X-16"),
    Mutation(C + "intake.py", "    if grown > 0:", "    if grown > 1:", "A-50"),
    Mutation(C + "intake.py", "tokens.tokens[: max(0, MOST_TOKENS - held)]", "tokens.tokens", "X-10"),
    Mutation(C + "intake.py", "if frame.stock < outbox.LOW_STOCK and", "if frame.stock < 10 * outbox.LOW_STOCK and",
             "A-41"),
    Mutation(C + "contacts.py", "contact.history.check_served(opened.manifest)",
             "contact.history.check_queued(opened.manifest)", "A-62"),
    Mutation(C + "contacts.py", "    statement.check_time(journal.now)\n", "", "X-07"),
    Mutation(C + "contacts.py", "if normal and other.fingerprint != fingerprint and", "if False and", "X-14"),
    Mutation(C + "contacts.py", "    if contact.name:\n", "    if False:\n", "X-14"),
    Mutation(C + "account.py", "answer.leaves < prekeys.REPLENISH_BELOW", "answer.leaves <= prekeys.REPLENISH_BELOW",
             "A-07"),
    Mutation(C + "outbox.py", 'if item.wire == b"" or item.right is Right.NONE:', "if True:", "A-69"),
    Mutation(C + "outbox.py", "if flight.sent >= ENVELOPES_PER_USE or", "if", "X-16"),
    Mutation(C + "outbox.py", 'if sealed == b"":', "if True:", "X-19"),
    Mutation(C + "contacts.py", "    outbox.start_over(journal, key)\n", "", "X-19"),
    Mutation(C + "journal.py", "= [Save(tuple(changes))] if changes", "= [*self._out, Save(tuple(changes))] if changes",
             "A-69"),
    Mutation(C + "intake.py", "if unknown and (peer is None or incoming.via is not Via.TOKEN or", "if unknown or (",
             "A-68"),
    Mutation(C + "intake.py", "could not be read: {error}\", incoming.mark)", "could not be read: {error}\")", "X-18"),
    Mutation(C + "vault/store.py", "INSERT OR IGNORE INTO message", "INSERT OR REPLACE INTO message", "X-12"),
    Mutation(C + "vault/store.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "A-70"),
    Mutation(C + "routes/direct.py", "if check.pins is not None and seen[-1] not in check.pins:", "if False:",
             "client/test_duties.py::test_not_one_byte_of_http_reaches_a_relay_with_another_key"),
    Mutation(C + "display.py", "    if point < 0x20:\n", "    if False:\n", "client/test_display.py"),
)  # fmt: skip
