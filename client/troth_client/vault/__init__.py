"""The vault: everything a client keeps, in one encrypted file that one process opens at a time. SPEC.md section 13.3.

A profile directory holds ``vault.key`` (Argon2id parameters, salt and a check value; no secret), ``vault.db`` (SQLite,
every page under ChaCha20-Poly1305 with a raw key) and ``lock``.

Read ``schema``, ``messages``, ``search``, then ``store``.
"""
