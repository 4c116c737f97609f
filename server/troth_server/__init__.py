"""The relay: keeps sealed envelopes until their owner fetches them, and learns as little as it can.

It sees: network addresses while connected, sizes (one of four), times, mailbox and lookup ids (of which it keeps
hashes), when a mailbox is fetched, and by what kind of right an envelope came (token, spare capability or card). Of an
attachment it sees from which mailbox it comes, one of twelve sizes, and from where it is fetched. It keeps on disk what
``storage.schema`` lists and nothing else; no log names an address, an id or a token.

It cannot see: senders, contents, names, contact lists, or whether two tokens come from one person. A bundle is sealed
under a key that is in the card, not here. It cannot decrypt: no cipher library is loaded by ``serve``.

Read in this order: ``limits`` and ``config`` (every number, with its reason), ``commands``, ``blob_commands`` and
``effects`` (what the core may ask for), ``connection`` and ``subscription`` (the core: bytes in, effects out),
``deposit`` (may this envelope come in), ``storage`` (the store's contract; ``schema``, ``seals``, ``sqlite``,
``writer``, ``database``, ``blobs``, and ``apart``, which puts it in a process of its own), ``guard``, ``messages``,
``peer``, ``session``, ``listener`` (the shell; ``transports`` and ``memory`` are its footnotes), ``observer`` (what a
demo may watch), ``files`` (written whole or not at all), ``ledger_file``, ``tls``, ``admission`` (who may make a
mailbox), ``pages`` and ``page_text`` (what a browser sees), ``standing`` (all files together), ``service`` (start,
reload, stop), ``metrics`` and ``scrape``, ``quiet`` (nothing leaves by a back door), ``notify``, ``status``,
``doctor``, ``shred`` (a key for each mailbox, which dies with it), ``cli`` and ``verbs``. Only other processes than
``serve`` load ciphers: ``operator`` and ``backup`` (and ``erasure``, which proves that what was erased is gone), and
``forwarder``, which is another program in the same package.
"""
