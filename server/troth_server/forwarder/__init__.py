"""The forwarder: a web site to everybody, a way to relays for whoever holds its link. SPEC.md section 19.4.

A guest's TLS hello carries a mark that only the link's secret can make. Whoever comes without one is a stranger, whose
bytes go to the site unread, TLS and all. A guest's go, unread as well, to one of the relays the volunteer allows:
inside the outer TLS is the guest's own TLS to the relay. The forwarder sees network addresses while they are connected,
and sizes and times; it sees no account, mailbox or message, passes no address on, and writes nothing of this
down. [R-19.4-7]

Read in this order: ``limits``, ``judge`` (the core: guest or stranger), ``places`` (how many of whom), ``targets``
(which addresses may ever be reached), ``decoy`` (the built-in site), ``layer`` (one TLS layer as bytes), ``counts``
(what is counted); then the shell: ``far`` (a connection to the site or a relay), ``door`` (one at the door), ``front``
(all of them), ``relays`` (ledgers and addresses, read and verified), ``lookout`` (is the site
what it should be), ``settings`` (its files), ``start`` (the process).
"""
