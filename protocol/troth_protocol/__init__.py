"""troth/1, pure: bytes and values in, bytes and values out; nothing here waits, opens a file or reads a clock.

Read in this order, each file one noun of SPEC.md:

1. ``errors``, ``encoding``, ``labels``: what can go wrong, how a value becomes bytes, which label is whose.
2. ``primitives``: the only door to the cipher libraries. ``keys``: typed keys and the hybrid signature.
3. ``manifest``, ``prekeys``, ``card``: who somebody is, what is needed to write to them first, how that is handed over.
4. ``handshake``: PQXDH with the whole transcript in the KDF. ``envelope``: its sealed first message.
5. ``chain``, ``ratchet``, ``pq_exchange``, ``session``: the two ratchets and the one message made of both.
6. ``frame``: what is inside a message. ``writing``, ``marks``, ``content``: what people say in it. ``pairing``: which
   of two sessions is in use. ``safety``: what people compare.
7. ``token``, ``ownership``, ``wire``, ``ledger``: what is said to a relay, and what its operator signs. ``veil``: how a
   forwarder knows its guests.
8. ``snapshot``: states to bytes and back, for the vault.

``token``, ``ownership``, ``wire``, ``encoding``, ``labels`` and ``errors`` need the standard library only: they are all
that a serving relay loads. This module imports nothing.
"""
