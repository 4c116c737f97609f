"""Backups: what a lost disk must not cost, sealed by mailbox so that an erased one is unreadable in all of them.

Its own process: ``serve`` never imports this package, which loads ciphers. Read in this order: ``kept`` (what is kept
of a mailbox, what is left out and why), ``rows`` (it as bytes), ``sealed`` (the file), ``take`` (beside a relay that
may be serving), ``keys_copy`` (the key slots in one other place), ``restore``.
"""
