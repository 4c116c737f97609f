"""The commented configuration file: every setting with what it means and why one would change it."""

from __future__ import annotations

import json
from string import Template
from typing import Final


def quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, and DEL is added."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def template(**values: str) -> str:
    """The file with these values; each setting must be given and no other."""
    return _TEXT.substitute(values)


_TEXT: Final = Template("""\
# The relay's configuration. A running relay reads it again on SIGHUP (systemctl reload troth-relay) and keeps the old
# one, saying so, if something is wrong. What is marked (restart) takes effect at the next start.

bind = $bind
#   Address to listen on: "0.0.0.0" is all of IPv4, "::" everything, "127.0.0.1" this machine only. (restart)
port = $port
#   Above 1,024 the relay needs no privilege. Clients learn it from the ledger: when you change it, sign a new
#   descriptor (troth-relay ledger descriptor). (restart)
socket = $socket
#   A UNIX socket to listen on instead, for a reverse proxy on this machine; its group may connect (0660). (restart)
store = $store
#   The storage engine. (restart)
metrics_port = $metrics_port
#   Counts for Prometheus and for "troth-relay status", at http://127.0.0.1:PORT/metrics; 0 is off. Small counts
#   about people are shown as 0. (restart)

[tls]
mode = $tls_mode
#   "own": a certificate that init made; clients know its key by the ledger. Works on a bare address, needs nobody.
#   "files": files that an ACME client renews; read again when they change.
#   "proxy": a web server on this machine ends TLS and passes connections on; the relay itself listens on loopback or
#   on the socket. That server then sees what the relay sees. (restart)
certificate = $certificate
#   PEM, from this folder on or with a full path. With "proxy": the web server's, for its key's hash alone; empty if
#   the ledger pins that key.
key = $key
#   PEM; its reader can be this relay. Empty with "proxy".

[admission]
mode = $admission
#   Who may make a mailbox here: "open" anybody, "invitation" whoever has a link from "troth-relay invite",
#   "closed" nobody. Mailboxes that exist stay.

[page]
show = $show
#   Whether / shows a page about this relay to browsers. Without it every path looks alike.
name = $name
operator = $operator
#   Who runs it, as you want to be known.
contact = $contact
#   How to reach you: for questions, for complaints, for somebody who found a weakness.
about = $about
#   What you want people to know: whom it is for, what you ask of them.

[limits]                                # reasons for these and for those that are not yours: troth_server/limits.py
max_connections = $max_connections
#   About 40 KiB of memory each.
creations_at_once = $creations_at_once
creations_per_minute = $creations_per_minute
#   Mailboxes that may be made in a burst, and then, by everybody together.

[quotas]                                # for each mailbox; a full one answers QUOTA, nothing is evicted (restart)
envelopes = $envelopes
envelope_bytes = $envelope_bytes
retention_days = $retention_days
#   Of what nobody fetches, at most 14; say it in your policy.
idle_days = $idle_days
#   A mailbox that its owner has not fetched for so long is erased, at least 30; say it in your policy.
cards = $cards
#   Contact links that one mailbox may have out at a time.
spares = $spares
#   One for each contact, by which the contact can write when its permissions are used up.

[blobs]                                 # attachments, in chunks of 64 KiB: 16 are a MiB (restart)
$blobs

[rates]                                 # network: an IPv4 address or an IPv6 /64; not counted behind a proxy (restart)
$rates
""")
