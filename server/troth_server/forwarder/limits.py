"""Every number that bounds something at a forwarder, each with its reason."""

from __future__ import annotations

from typing import Final

HELLO_SECONDS: Final = 10
"""From the first byte to the last of a guest's hello, which is one segment; the slower are strangers."""
GUEST_SECONDS: Final = 60
"""From a good hello to its wish: a web server waits as long for a request (nginx, client_header_timeout)."""
REACH_SECONDS: Final = 10
"""To open a connection to the site, or to all addresses of a relay."""
GUEST_IDLE: Final = 120
"""A guest with no byte either way is gone: its relay pings after 25 s of silence and gives up after 38."""
STRANGER_IDLE: Final = 3_600
"""The site ends idle connections itself; this is for sites that never do."""
LINGER_SECONDS: Final = 30
"""What one side has ended, the other may end within this time; half-open connections hold memory for nobody."""
STUCK_SECONDS: Final = 60
"""A side that takes not one byte of what waits for it."""
DECOY_SECONDS: Final = 60
"""The built-in site waits this long for a request, and for the next one."""
PATROL_SECONDS: Final = 2
"""Between looks at every connection."""
WRITE_HIGH: Final = 65_536
"""Above so many unsent bytes nothing more is read from the other side."""
EARLY_BYTES: Final = 65_536
"""Kept for a site or relay whose connection is being opened; then the other side is not read until it is."""
STOP_SECONDS: Final = 2
"""To send what waits when the forwarder stops."""
BACKLOG: Final = 1_024
"""Connections the kernel keeps for us to accept."""

MARKS: Final = 65_536
"""Marks remembered for each hour, 5 MB; a forwarder that has seen so many takes no more guests in that hour."""

MAX_CONNECTIONS: Final = 2_000
"""Open at once; two descriptors and, for a guest, 60 KiB each."""
MAX_FROM_ADDRESS: Final = 200
"""From one IPv4 address, or one IPv6 /56: a whole school may come through one, a flood may not fill the house."""

REFRESH_SECONDS: Final = 86_400
"""Between readings of a relay's ledger, with a fifth of it in jitter."""
RETRY_SECONDS: Final = 60
"""The first pause after a relay could not be read; it doubles up to an hour."""
READ_SECONDS: Final = 30
"""For one relay's whole ledger."""
ADDRESSES: Final = 8
"""Of one relay that are kept; more are not tried."""
