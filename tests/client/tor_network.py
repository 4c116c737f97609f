"""A Tor network of our own on this machine: three authorities, three relays, and an onion service."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import proxies

AUTHORITIES: Final = 3
RELAYS: Final = 3
"""Beside the authorities: an onion's circuits have more hops than three nodes can give."""
BOOT_SECONDS: Final = 150
"""Measured 23 s, and up to 80 on a busy machine: the first consensus, then descriptors."""
_SPED_UP: Final = """\
TestingTorNetwork 1
PathsNeededToBuildCircuits 0.67
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
V3AuthNIntervalsValid 2
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
AssumeReachable 1
ShutdownWaitLength 0
"""
_AUTHORITY: Final = """\
DataDirectory {folder}
Nickname a{number}
Address 127.0.0.1
ORPort 127.0.0.1:{onion_router} IPv4Only
DirPort 127.0.0.1:{directory}
SocksPort 0
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo nobody
"""
_EXIT: Final = "ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept *:*\n"


@dataclass(frozen=True)
class TorNetwork:
    """Where its SOCKS port is, and the name of its onion service."""

    socks: int
    onion: str


@contextlib.contextmanager
def tor_network(folder: Path, service: int, port: int) -> Iterator[TorNetwork]:
    """A network whose onion service leads from ``port`` to a port of this machine."""
    tor, gencert = proxies.needs("tor", "tor"), proxies.needs("tor-gencert", "tor")
    lines, nodes = "", []
    for number in range(AUTHORITIES):
        home, settings = folder / f"a{number}", ""
        (home / "keys").mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        onion_router, directory = proxies.free_port(), proxies.free_port()
        keys = [f"{home}/keys/authority_{name}" for name in ("identity_key", "signing_key", "certificate")]
        subprocess.run(
            [gencert, "--create-identity-key", "--passphrase-fd", "0", "-m", "12", "-a", f"127.0.0.1:{directory}",
             "-i", keys[0], "-s", keys[1], "-c", keys[2]],
            input=b"x\n", check=True, capture_output=True,
        )  # fmt: skip
        identity = re.search(r"^fingerprint ([0-9A-F]+)", Path(keys[2]).read_text(), re.MULTILINE)
        assert identity is not None
        settings = _AUTHORITY.format(folder=home, number=number, onion_router=onion_router, directory=directory)
        (home / "torrc").write_text("TestingTorNetwork 1\n" + settings)
        nobody = f"x orport=1 no-v2 v3ident={identity[1]} 127.0.0.1:1 {'0' * 40}"
        subprocess.run(
            [tor, "-f", home / "torrc", "--list-fingerprint", "--DirAuthority", nobody],
            check=False,
            capture_output=True,
        )
        fingerprint = (home / "fingerprint").read_text().split()[1]
        at = f"orport={onion_router} no-v2 v3ident={identity[1]} 127.0.0.1:{directory} {fingerprint}"
        lines += f"DirAuthority a{number} {at}\n"
        nodes.append((home, settings + _EXIT))
    for number in range(RELAYS):
        home = folder / f"r{number}"
        home.mkdir(mode=0o700)
        settings = f"DataDirectory {home}\nNickname r{number}\nAddress 127.0.0.1\nSocksPort 0\n"
        settings += f"ORPort 127.0.0.1:{proxies.free_port()} IPv4Only\nContactInfo nobody\n"
        nodes.append((home, settings + _EXIT))
    home, socks = folder / "client", proxies.free_port()
    (home / "service").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    client = f"DataDirectory {home}\nSocksPort 127.0.0.1:{socks}\nClientRejectInternalAddresses 0\n"
    client += f"HiddenServiceDir {home}/service\nHiddenServicePort {port} 127.0.0.1:{service}\n"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for place, settings in [*nodes, (home, client)]:
            (place / "torrc").write_text(f"{_SPED_UP}{lines}{settings}Log notice file {place}/log\n")
            processes.append(subprocess.Popen([tor, "-f", place / "torrc"], stdout=subprocess.DEVNULL))
        _wait_for(home / "log", "Bootstrapped 100%")
        yield TorNetwork(socks, (home / "service" / "hostname").read_text().strip())
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _wait_for(log: Path, text: str) -> None:
    end = time.monotonic() + BOOT_SECONDS
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < end, log.read_text()[-1_000:] if log.exists() else "no log"
        time.sleep(0.5)
