"""What to do next, by an error's code (SPEC.md section 15); nothing where the error's own sentence says it."""

from __future__ import annotations

from typing import Final

NEXT: Final = {
    "BAD_LINK": "ask for the link again and copy all of it",
    "TEXT_TOO_LONG": "send it in two parts",
    "NO_SUCH_CONTACT": "choose somebody from the list",
    "BAD_PASSPHRASE": "try again; nobody can reset it",
    "VAULT_BUSY": "close that one, or go on in it",
    "VAULT_EXISTS": "name the folder you mean with --profile",
    "CHAIN_EXHAUSTED": "wait for an answer from them: it renews the keys",
    "TLS_PIN_MISMATCH": "do not go on; ask the relay's operator by another way",
    "TLS_INTERCEPTED": "use another network or a route through a proxy",
    "TRUST": "read what changed, then decide",
    "ROLLBACK": "ask the relay's operator why it shows an older state",
    "FORK": "ask the relay's operator why it shows two states",
    "SESSION": "ask them for a new card and compare the safety number again",
    "NETWORK": "nothing is lost: it is tried again by itself",
    "RELAY_BUSY": "nothing is lost: it is tried again by itself",
    "DIRECT_FORBIDDEN": "add a proxy, or allow direct connections",
    "NO_ROUTE": "add a route: troth routes add LINK",
    "HOST_UNKNOWN": "check the network's name server, or use a route with a proxy",
    "CONNECTION_REFUSED": "the relay may be down: it is tried again by itself",
    "CAPTIVE_PORTAL": "sign in to this network with a browser first",
    "UPGRADE_STRIPPED": "this network changes connections: use a route with a proxy",
    "CLOCK_SKEW": "set this machine's clock",
    "PROXY_ERROR": "check the proxy, or use another route",
    "PT_FAILED": "install the transport's program, or use another route",
    "STORAGE": "make room on the disk, or let the folder be written to; then try again",
    "STORAGE_UNTRUSTED": "stop, and restore from a backup",
}
"""In a window or the line mode, which go on by themselves."""

AT_A_COMMAND: Final = NEXT | {
    "NO_SUCH_CONTACT": "see  troth contacts  and  troth requests",
    "TRUST": "read it; for changed keys see  troth verify",
    "NETWORK": "try again; what is kept goes with the next command that reaches the relay",
    "RELAY_BUSY": "try again; what is kept goes with the next command that reaches the relay",
    "CONNECTION_REFUSED": "the relay may be down: try again later",
    "STORAGE": "see whether the disk is full or damaged, or the folder may not be written to",
}
"""Where one command has ended, and nothing goes on by itself."""
