"""The words and the look of the relay's page: plain HTML, readable without a script, in light and dark, on a phone.

Everything an operator wrote is escaped. ``STORED`` has a line for each table of the store; a table that it does not
explain fails a test.
"""

from __future__ import annotations

import html
import io
import time
from collections.abc import Iterable, Mapping
from typing import Final

from troth_protocol.address import JoinLink, RelayAddress

from .admission import Mode
from .config import Config
from .ledger_file import DESCRIPTOR, Head, LedgerFile, address_of
from .limits import DAY, BlobQuotas

ENTRIES_SHOWN: Final = 50
"""Of the ledger, the newest; clients read all of it."""
COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "paper": ("#fbfaf7", "#16181a"),
    "ink": ("#1c1e21", "#e8e6e1"),
    "soft": ("#55595e", "#a9adb2"),
    "line": ("#d9d6ce", "#34383c"),
    "card": ("#f1eee7", "#1f2225"),
    "mark": ("#0b5c53", "#6fcabb"),
}
"""Each in light and in dark; a test computes the contrasts (WCAG 2.2: 4.5 to 1)."""
_LIGHT: Final = "".join(f"--{name}:{light};" for name, (light, _) in COLOURS.items())
_DARK: Final = "".join(f"--{name}:{dark};" for name, (_, dark) in COLOURS.items())
STYLE: Final = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:44rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin:2.75rem 0 .75rem;padding-top:1.25rem;border-top:1px solid var(--line)}
p,ul,dl,ol{margin:0 0 1rem}
.lead{color:var(--soft);margin-bottom:1.5rem}
.said{white-space:pre-line;overflow-wrap:anywhere}
ul,ol{padding-left:1.25rem}
li{margin-bottom:.4rem}
code{font:.9375rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
.link{display:block;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;
margin:0 0 1rem;user-select:all}
.long{word-break:break-all}
.join{display:flex;flex-wrap:wrap;gap:1.5rem;align-items:flex-start}
.say{flex:1 1 18rem;min-width:0}
.qr{background:#fff;border-radius:.5rem;padding:.75rem;border:1px solid var(--line);line-height:0;flex:0 0 auto}
.qr svg{width:13rem;height:13rem;max-width:100%}
dl{display:grid;grid-template-columns:minmax(8rem,13rem) 1fr;gap:.5rem 1.25rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.num{font-variant-numeric:tabular-nums}
b{color:var(--mark);font-weight:600}
@media (max-width:34rem){main{padding-top:1.5rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.75rem}
.join{justify-content:center}}
"""
)

STORED: Final[Mapping[str, str]] = {
    "mailboxes": "For each mailbox: a hash of its random number, a hash by which its owner proves to be the owner, the "
    "hour it was made, the day its owner last came, and how much waits in it.",
    "epochs": "The keys by which a mailbox tells which letters it lets in, and when they expire.",
    "spent": "Hashes of permissions to write that were used, so that none is used twice, until their key expires.",
    "lookups": "Sealed bundles that contact links open, and how often each link may still be used.",
    "firsts": "Hashes of first letters, so that one sent twice arrives once.",
    "leaves": "One-time public keys, until they are handed out.",
    "spares": "Hashes of the permissions that contacts keep for when others are used up, and the hour of the last use.",
    "envelopes": "Sealed letters that were not fetched yet, of one of four sizes, and when they will be dropped.",
    "blobs": "Sealed attachments: hashes of the random numbers under which they are fetched, from which mailbox they "
    "came, their size, one of twelve, and the hour when each will be dropped.",
    "invites": "How often an invitation was used, until it expires; not by whom.",
}
"""The store's tables in plain words."""
KINDS: Final[Mapping[int, str]] = {
    1: "Where it is reached", 2: "Policy", 3: "Canary", 4: "Legal demands", 5: "Breach", 6: "Notice", 7: "Report",
}  # fmt: skip


def home(config: Config, ledger: LedgerFile) -> str:
    """The page at /; DecodeError if the ledger cannot be read."""
    page = config.page
    name = _clean(page.name) or "A troth relay"
    parts = [
        f"<h1>{name}</h1>",
        "<p class=lead>A relay for Troth, end-to-end encrypted messages.</p>",
        _said(page.about),
        "<p>This machine passes sealed letters on between people who use Troth, and keeps each until it is fetched. "
        "It cannot open them: the keys are on the devices of those who write, and the program that runs here loads no "
        "code to decrypt with. Nobody gave it a name, a telephone number or an e-mail address.</p>",
        "<h2>Who runs it</h2>",
        _said(page.operator) or "<p>Whoever runs this relay has not said so here.</p>",
        _said(f"Contact: {page.contact}") if page.contact else "",
        "<h2>How to join</h2>",
        _join(config, ledger),
        "<h2>What it stores</h2>",
        f"<ul>{''.join(f'<li>{_clean(text)}</li>' for text in STORED.values())}</ul>",
        "<p>Times are kept to the hour, except when a waiting letter will be dropped. A letter is gone from every "
        "file within a minute of being fetched. There is no log of who connects.</p>",
        "<h2>What it sees and does not store</h2>",
        "<p>While you are connected: your network address, that your mailbox is yours, and when letters come and of "
        "which of four sizes. Not who wrote them. Of an attachment: from which mailbox it came, and from which "
        "addresses it is fetched. If you do not want your address to be seen, use Tor.</p>",
        "<h2>Its limits</h2>",
        _limits(config),
        "<h2>Its ledger</h2>",
        "<p>What the operator has signed, in order; your client checks each signature and that nothing was changed "
        "or left out. The relay's fingerprint, by which your client knows it:</p>",
        f"<code class=link>{_groups(ledger.fingerprint.hex())}</code>",
        f"<ol reversed>{''.join(_entries(ledger))}</ol>",
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=referrer content=no-referrer>'
        f"<title>{name}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _clean(text: str) -> str:
    """Text for HTML: escaped, and without control characters that a browser might act on."""
    return html.escape("".join(each for each in text if each.isprintable() or each == "\n").strip())


def _said(text: str) -> str:
    """What an operator wrote, with its lines."""
    cleaned = _clean(text)
    return f"<p class=said>{cleaned}</p>" if cleaned else ""


def _join(config: Config, ledger: LedgerFile) -> str:
    if config.admission is Mode.CLOSED:
        return "<p><b>Closed.</b> This relay takes nobody new at present. Whoever has a mailbox here keeps it.</p>"
    if config.admission is Mode.INVITATION:
        return (
            "<p><b>By invitation.</b> Ask the operator for a link with an invitation in it. Then, with Troth "
            "installed:</p><code class=link>troth init --relay LINK --name YOU</code>"
        )
    host, port = ledger.address().hosts[0]
    link = JoinLink(RelayAddress(host, port, ledger.fingerprint)).link()
    return (
        "<div class=join><div class=say><p><b>Open to everybody.</b> The link by which Troth finds this relay, also as "
        f'a picture:</p><code class="link long">{_clean(link)}</code><p>With Troth installed:</p>'
        "<code class=link>troth init --relay LINK --name YOU</code></div>"
        f"<div class=qr>{_picture(link)}</div></div>"
    )


def _picture(link: str) -> str:
    """A QR code as inline SVG, dark on white in either scheme, with the quiet zone that readers want."""
    import segno

    drawn = io.BytesIO()
    segno.make(link, error="m").save(
        drawn, kind="svg", xmldecl=False, svgns=False, nl=False, omitsize=True, border=4, title="The link as a QR code"
    )
    return drawn.getvalue().decode()


def _limits(config: Config) -> str:
    quotas = config.quotas
    rows = (
        ("Letters waiting in a mailbox", f"{quotas.envelopes:,}, together {quotas.envelope_bytes / 2**20:,.0f} MiB"),
        ("A full mailbox", "Senders are told to try later; nothing that waits is thrown away."),
        ("Letters nobody fetches", f"dropped after {quotas.retention // DAY} days"),
        ("Mailboxes nobody opens", f"erased after {quotas.idle // DAY} days"),
        ("Attachments", _attachments(quotas.blobs)),
        ("Contact links out at a time", f"{quotas.cards:,}"),
        ("Contacts", f"{quotas.spares:,} for each mailbox"),
        ("New mailboxes", f"{config.creations_per_minute:,} a minute, {config.creations_at_once:,} in a burst, by all"),
        ("Connections at a time", f"{config.max_connections:,}"),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd class=num>{value}</dd>' for name, value in rows)}</dl>"


def _attachments(blobs: BlobQuotas) -> str:
    if not blobs.chunks:
        return "none"
    largest, mailbox = (chunks / 16 for chunks in (blobs.chunks, blobs.mailbox_chunks))
    return f"up to {largest:,.0f} MiB each, {mailbox:,.0f} MiB and {blobs.mailbox_blobs:,} of them for each mailbox"


def entries(ledger: LedgerFile) -> tuple[str, ...]:
    """Each entry in plain words, the oldest first; DecodeError."""
    return tuple(
        f"{KINDS.get(head.kind, f'An entry of kind {head.kind}')}, signed {_day(head.issued)}, good until "
        f"{_day(head.expires)}.{_about(head)}"
        for head in ledger.heads()
    )


def _entries(ledger: LedgerFile) -> Iterable[str]:
    """The newest entries, newest first."""
    numbered = list(enumerate(entries(ledger), start=1))
    return (f"<li value={number}>{_clean(text)}</li>" for number, text in numbered[: -ENTRIES_SHOWN - 1 : -1])


def _about(head: Head) -> str:
    """What a descriptor says; other kinds are read with a client, which verifies them."""
    if head.kind != DESCRIPTOR:
        return ""
    address = address_of(head)
    hosts = ", ".join(f"{host} port {port}" for host, port in address.hosts)
    if address.pins is None:
        return f" At {hosts}; its certificate is checked like a web site's."
    keys = ", ".join(f"{pin.hex()[:16]}..." for pin in address.pins)
    return f" At {hosts}, with the TLS key {keys}"


def _day(at: int) -> str:
    try:
        return time.strftime("%-d %B %Y", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return "a day beyond the calendar"


def _groups(text: str) -> str:
    return " ".join(text[at : at + 8] for at in range(0, len(text), 8))
