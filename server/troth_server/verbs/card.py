"""``card`` and ``invite``: the links by which people join this relay."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Final

from troth_protocol.errors import StorageError, UserError

from .. import config as configuration
from ..admission import KEY_SIZE, MOST_DAYS, MOST_USES, NONCE_SIZE, Mode, invitation
from ..config import Config
from ..files import write_file
from ..ledger_file import LedgerFile
from . import EXIT_DONE

DAY: Final = 86_400


def arguments(parser: argparse.ArgumentParser) -> None:
    """What ``card`` takes."""
    parser.add_argument("--qr", action="store_true", help="also as a QR code")


def run(options: argparse.Namespace) -> int:
    """Print the relay's link, and on stderr whether it is enough to join."""
    config = configuration.load(options.data)
    _print(config, b"", qr=options.qr)
    if config.admission is Mode.INVITATION:
        print(
            "troth-relay: joining needs an invitation too: troth-relay invite prints a link with one", file=sys.stderr
        )
    elif config.admission is Mode.CLOSED:
        print("troth-relay: this relay is closed: the link is of use only to whoever has a mailbox", file=sys.stderr)
    return EXIT_DONE


def invite_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``invite`` takes."""
    parser.add_argument("--uses", type=int, default=1, metavar="N", help="how many people may join by it (1)")
    parser.add_argument(
        "--days", type=int, default=14, metavar="N", help=f"how long it is good, at most {MOST_DAYS} (14)"
    )
    parser.add_argument("--qr", action="store_true", help="also as a QR code")
    parser.add_argument("--revoke-all", action="store_true", help="take back every invitation that is out, and stop")


def invite(options: argparse.Namespace) -> int:
    """Print a link with an invitation, or take all back."""
    from troth_protocol.primitives import SystemRandomness

    config = configuration.load(options.data)
    draw = SystemRandomness().draw
    if options.revoke_all:
        write_file(config.invite_key, draw(KEY_SIZE))
        print("Every invitation that was out is void; a running relay knows within a few seconds.")
        return EXIT_DONE
    if not 1 <= options.uses <= MOST_USES:
        raise UserError(f"--uses must be from 1 to {MOST_USES}")
    if not 1 <= options.days <= MOST_DAYS:
        raise UserError(f"--days must be from 1 to {MOST_DAYS}")
    made = invitation(_key(config, draw), options.uses, int(time.time()) + options.days * DAY, draw(NONCE_SIZE))
    _print(config, made, qr=options.qr)
    if config.admission is not Mode.INVITATION:
        print(
            f'troth-relay: admission is "{config.admission.value}" in {config.data / configuration.FILE}: '
            'invitations count with "invitation" only', file=sys.stderr,
        )  # fmt: skip
    return EXIT_DONE


def _key(config: Config, draw: Callable[[int], bytes]) -> bytes:
    """The key of invitations; made if there is none. StorageError, UserError."""
    try:
        key = config.invite_key.read_bytes()
    except FileNotFoundError:
        key = draw(KEY_SIZE)
        write_file(config.invite_key, key)
    except OSError as error:
        raise StorageError(f"{config.invite_key} cannot be read: {error.strerror}") from None
    if len(key) != KEY_SIZE:
        raise UserError(f"{config.invite_key} is no key of invitations")
    return key


def _print(config: Config, invite: bytes, *, qr: bool) -> None:
    from troth_protocol.address import JoinLink, RelayAddress

    ledger = LedgerFile.read(config.ledger)
    host, port = ledger.address().hosts[0]
    link = JoinLink(RelayAddress(host, port, ledger.fingerprint), invite).link()
    print(link)
    if qr:
        import segno

        segno.make(link, error="m").terminal(compact=True)
