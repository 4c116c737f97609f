"""Three network namespaces: a client, a censor between, and the free network with everything that serves.

    client 10.77.1.2 -- 10.77.1.1 censor 10.77.2.1 -- 10.77.2.10 to .99 free

Each has a name server of its own: the censor's lies when it is told to. Packets that leave the client are counted by
the client's own kernel, below anything that troth could get wrong, and captured. Everything is taken away at the end,
by name and by pid, whatever happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

CLIENT_ADDRESS: Final = "10.77.1.2"
CENSOR_ADDRESS: Final = "10.77.1.1"
RELAY, FORWARDER, SOCKS, PROXY, BRIDGE, MOVED, NAMES, NOBODY = (
    f"10.77.2.{n}" for n in (10, 20, 30, 40, 50, 60, 53, 99)
)
HOSTS: Final = {"relay.test": RELAY, "www.garden.test": FORWARDER}
_TOOLS: Final = ("ip", "nft", "dnsmasq", "tcpdump", "nginx", "microsocks", "tinyproxy", "obfs4proxy", "openssl", "ss")
_PATHS: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

PROXIES: Final = {"tunnel": FORWARDER, "socks": SOCKS, "connect": PROXY, "obfs4": BRIDGE}
_COUNTERS: Final = ("names", "direct", *PROXIES)
_PROXIED: Final = "\n".join(f"    ip daddr {address} counter name {name} accept" for name, address in PROXIES.items())
_WATCH: Final = f"""
table inet watch {{
{"".join(f"  counter {name} {{}}" + chr(10) for name in _COUNTERS)}
  chain out {{
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    meta l4proto {{ tcp, udp }} th dport {{ 53, 853, 5353, 5355 }} counter name names accept
{_PROXIED}
    meta l4proto {{ tcp, udp, icmp }} counter name direct
  }}
}}
"""


def missing() -> str:
    """Why there can be no lab here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in _TOOLS if shutil.which(tool, path=_PATHS) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    name = f"troth-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode != 0:
        return "network namespaces do not work here"
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    return ""


def sweep() -> None:
    """Take away what a run that was killed has left: namespaces of ours whose process is gone, and what is in them."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for name in (line.split()[0] for line in listed.splitlines() if line):
        found = re.fullmatch(r"troth(\d+)[cxs]", name)
        if found is None or Path(f"/proc/{found[1]}").exists():
            continue
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
        for pid in inside.split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


class Lab:
    """The namespaces, what runs in them, and the censor's rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mark = f"troth{os.getpid()}"
        self.client, self.censor, self.free = f"{mark}c", f"{mark}x", f"{mark}s"
        self._processes: list[subprocess.Popen[str]] = []
        self._names: subprocess.Popen[str] | None = None

    def __enter__(self) -> Lab:
        sweep()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            self.stop(process)
        for name in (self.client, self.censor, self.free):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)

    def _build(self) -> None:
        for name, server in ((self.client, CENSOR_ADDRESS), (self.censor, NAMES), (self.free, NAMES)):
            self._ip("netns", "add", name)
            etc = Path("/etc/netns") / name
            etc.mkdir(parents=True)
            (etc / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:1 attempts:1\n")
            (etc / "hosts").write_text("127.0.0.1 localhost\n")
            self._ip("-n", name, "link", "set", "lo", "up")
        self._join(self.client, (CLIENT_ADDRESS,), "c0", self.censor, (CENSOR_ADDRESS,), "x0")
        addresses = (RELAY, FORWARDER, SOCKS, PROXY, BRIDGE, MOVED, NAMES)
        self._join(self.censor, ("10.77.2.1",), "x1", self.free, addresses, "s0")
        self._ip("-n", self.client, "route", "add", "default", "via", CENSOR_ADDRESS)
        self._ip("-n", self.free, "route", "add", "default", "via", "10.77.2.1")
        for switch in ("ipv4/ip_forward", "netfilter/nf_conntrack_acct"):
            self.run(self.censor, "sh", "-c", f"echo 1 > /proc/sys/net/{switch}")
        self.name_server(self.free, NAMES, {})
        self.lie({})
        self.run(self.client, "nft", "-f", "-", stdin=_WATCH)

    def _join(self, one: str, at: Sequence[str], link: str, other: str, far: Sequence[str], far_link: str) -> None:
        self._ip("link", "add", link, "netns", one, "type", "veth", "peer", "name", far_link, "netns", other)
        for name, addresses, device in ((one, at, link), (other, far, far_link)):
            for address in addresses:
                self._ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            self._ip("-n", name, "link", "set", device, "up")

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, env={**os.environ, "PATH": _PATHS})

    # Programs.

    def run(self, where: str, *command: str, stdin: str = "", seconds: float = 90) -> str:
        """A program to its end; its output."""
        done = self.attempt(where, *command, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"{command[0]} {command[1:3]}: {done.stdout} {done.stderr}"
        return done.stdout

    def attempt(
        self, where: str, *command: str, stdin: str = "", seconds: float = 90, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it; ``more`` is added to its environment."""
        return subprocess.run(
            ["ip", "netns", "exec", where, *command], input=stdin, capture_output=True, text=True, timeout=seconds,
            check=False, env={**os.environ, "PATH": _PATHS, **(more or {})},
        )  # fmt: skip

    def start(self, where: str, *command: str, says: str = "", **more: str) -> subprocess.Popen[str]:
        """A program that stays, once its first line begins with ``says``."""
        log = self.folder / f"{len(self._processes)}-{Path(command[0]).name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                ["ip", "netns", "exec", where, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True, env={**os.environ, "PATH": _PATHS, **more},
            )  # fmt: skip
        self._processes.append(process)
        if says:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(says), f"{command[0]} said {line!r} and {log.read_text()}"
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End one that was started here."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process in self._processes:
            self._processes.remove(process)

    # The censor.

    def forbid(self, rules: str) -> None:
        """Rules for what passes from the client: the body of a chain; nat rules begin with ``nat``."""
        self.permit()
        nat = "\n".join(line.strip()[4:] for line in rules.splitlines() if line.strip().startswith("nat "))
        rest = "\n".join(line for line in rules.splitlines() if not line.strip().startswith("nat "))
        table = f"""
        table inet censor {{
          chain pass {{ type filter hook forward priority 0; policy accept;
            {rest}
          }}
          chain turn {{ type nat hook prerouting priority -100; policy accept;
            {nat}
          }}
        }}"""
        self.run(self.censor, "nft", "-f", "-", stdin=table)

    def permit(self) -> None:
        """No rules."""
        self.attempt(self.censor, "nft", "delete", "table", "inet", "censor")

    def lie(self, names: dict[str, str]) -> None:
        """What the client's name server answers wrongly; nothing: it is honest."""
        if self._names is not None:
            self.stop(self._names)
        self._names = self.name_server(self.censor, CENSOR_ADDRESS, names)

    def name_server(self, where: str, address: str, names: dict[str, str]) -> subprocess.Popen[str]:
        """dnsmasq on this address, for HOSTS and what is given."""
        told = [f"--address=/{name}/{at}" for name, at in {**HOSTS, **names}.items()]
        process = self.start(
            where, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv",
            "--bind-interfaces", f"--listen-address={address}", "--except-interface=lo", "--user=root", "--group=root",
            "--pid-file=", *told,
        )  # fmt: skip
        time.sleep(0.2)
        assert process.poll() is None, "no name server"
        return process

    # What left the client.

    def counted(self) -> dict[str, int]:
        """Bytes since the last time: name questions, each proxy's, and what went to anybody else (``direct``)."""
        text = self.run(self.client, "nft", "-j", "reset", "counters", "table", "inet", "watch")
        found = [each["counter"] for each in json.loads(text)["nftables"] if "counter" in each]
        return {each["name"]: each["bytes"] for each in found}

    def settle(self, port: int, seconds: float = 90) -> None:
        """Wait until nothing in the free network still tries to reach the client on a connection to this port.

        What an earlier scenario cut off is retransmitted for a while, and the client's kernel answers with a reset:
        packets that nobody chose to send.
        """
        end = time.monotonic() + seconds
        query = ("ss", "-Htan", "state", "connected", "exclude", "time-wait", "sport", "=", f":{port}")
        while f"{CLIENT_ADDRESS}:" in self.run(self.free, *query):
            assert time.monotonic() < end, "connections of an earlier scenario do not end"
            self.attempt(self.free, "ss", "-K", "dst", CLIENT_ADDRESS, "sport", "=", f":{port}")
            time.sleep(0.2)

    def capture(self) -> subprocess.Popen[str]:
        """Begin to capture what the client sends and gets."""
        path = self.folder / "client.pcap"
        process = self.start(self.client, "tcpdump", "-U", "-n", "-Z", "root", "-i", "c0", "-w", str(path))
        for _ in range(100):
            if path.exists() and path.stat().st_size >= 24:
                break
            time.sleep(0.05)
        return process

    def captured(self, process: subprocess.Popen[str], expression: str) -> int:
        """End a capture; how many packets in it fit a filter."""
        time.sleep(0.3)
        self.stop(process)
        path = str(self.folder / "client.pcap")
        return len(self.run(self.client, "tcpdump", "-n", "-r", path, expression).splitlines())
