"""Not one packet past the proxies: a packet filter counts what leaves a client whose routes die and come back.

Needs root, network namespaces and nftables: ``sudo make test-slow``, or ``pytest -m slow`` on this file as root. The
client stands in a namespace of its own; its only neighbour holds the relay, two SOCKS servers and a name server that
nobody should ask. What leaves the client is counted by its own kernel, below anything that troth could get wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import proxies

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
CLIENT, WORLD = f"trothc{os.getpid()}", f"trothw{os.getpid()}"
RELAY, FIRST, SECOND, NAMES = "10.213.7.2", "10.213.7.3", "10.213.7.4", "10.213.7.5"
PORT, SOCKS = 7_443, 1_080
RULES = f"""
table inet watch {{
  counter proxied {{}}
  counter elsewhere {{}}
  counter names {{}}
  chain out {{
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    ip daddr {{ {FIRST}, {SECOND} }} tcp dport {SOCKS} counter name proxied accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report }} accept
    meta l4proto {{ tcp, udp }} th dport {{ 53, 853, 5353, 5355 }} counter name names
    counter name elsewhere
  }}
}}
"""


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Lab:
    """The two namespaces, what runs in them, and the counters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "passphrase").write_text("correct horse\n")
        for name, lines in ((CLIENT, f"nameserver {NAMES}\n"), (WORLD, "")):
            run("ip", "netns", "add", name)
            Path(f"/etc/netns/{name}").mkdir(parents=True)
            Path(f"/etc/netns/{name}/resolv.conf").write_text(lines)
        Path(f"/etc/netns/{CLIENT}/hosts").write_text("127.0.0.1 localhost\n")
        Path(f"/etc/netns/{WORLD}/hosts").write_text(f"{RELAY} relay.test\n")
        run("ip", "link", "add", "troth0", "netns", CLIENT, "type", "veth", "peer", "name", "troth1", "netns", WORLD)
        for name, link, addresses in (
            (CLIENT, "troth0", ["10.213.7.1"]), (WORLD, "troth1", [RELAY, FIRST, SECOND, NAMES]),
        ):  # fmt: skip
            for address in addresses:
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", CLIENT, "route", "add", "default", "via", RELAY)
        (folder / "watch.nft").write_text(RULES)
        run(*self.inside(CLIENT), "nft", "-f", str(folder / "watch.nft"))
        for address in (FIRST, SECOND):
            self.start(WORLD, shutil.which("microsocks") or "", "-i", address, "-p", str(SOCKS))
        data = str(folder / "relay")
        made = ["init", "--data", data, "--host", "relay.test", "--bind", RELAY, "--port", str(PORT)]
        run(str(BIN / "troth-relay"), *made)
        self.link = run(str(BIN / "troth-relay"), "card", "--data", data).strip()
        relay = self.start(WORLD, str(BIN / "troth-relay"), "serve", "--data", data)
        assert relay.stdout is not None
        assert relay.stdout.readline().startswith("serving")

    @staticmethod
    def inside(name: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", name)

    def start(self, name: str, *command: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TROTH_PASSPHRASE_FILE": str(self.folder / "passphrase")}
        # A proxy in the environment is a trap: nobody asked for it. [R-13.1-7]
        trap = {
            "ALL_PROXY": f"socks5://{NAMES}:1",
            "HTTPS_PROXY": f"http://{NAMES}:1",
            "https_proxy": f"http://{NAMES}:1",
        }
        process = subprocess.Popen(
            [*self.inside(name), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment | trap,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def troth(self, name: str, who: str, *arguments: str) -> tuple[int, list[dict[str, object]]]:
        process = self.start(name, str(BIN / "troth"), "--profile", str(self.folder / who), "--json", *arguments)
        out, _ = process.communicate(timeout=120)
        return process.returncode, [json.loads(line) for line in out.splitlines()]

    def count(self, name: str) -> int:
        found = re.search(r"packets (\d+)", run(*self.inside(CLIENT), "nft", "list", "counter", "inet", "watch", name))
        assert found is not None
        return int(found[1])

    def in_use(self) -> tuple[str, str]:
        """The proxy that carries the only connection there is, and the other one."""
        lines = run(*self.inside(CLIENT), "ss", "-Htn", "state", "established", "dport", "=", f":{SOCKS}")
        assert (FIRST in lines) != (SECOND in lines), lines
        return (FIRST, SECOND) if FIRST in lines else (SECOND, FIRST)

    def block(self, *addresses: str) -> None:
        """Swallow what goes to and comes from these proxies, and let everything through to the others."""
        run(*self.inside(WORLD), "nft", "flush", "ruleset")
        if addresses:
            named = ", ".join(addresses)
            rules = "table ip block {\n"
            for hook, side in (("input", "daddr"), ("output", "saddr")):
                rules += f" chain {hook} {{\n  type filter hook {hook} priority 0; policy accept;\n"
                rules += f"  ip {side} {{ {named} }} drop\n }}\n"
            rules += "}\n"
            (self.folder / "block.nft").write_text(rules)
            run(*self.inside(WORLD), "nft", "-f", str(self.folder / "block.nft"))

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        for name in (CLIENT, WORLD):
            run("ip", "netns", "delete", name, check=False)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    for program, package in (("ip", "iproute2"), ("nft", "nftables"), ("microsocks", "microsocks")):
        proxies.needs(program, package)
    with contextlib.ExitStack() as stack:
        made = Lab.__new__(Lab)
        made.processes = []
        stack.callback(made.close)
        made.__init__(tmp_path)  # type: ignore[misc]
        yield made


class Listener:
    """``troth receive --follow``, its messages as they come."""

    def __init__(self, lab: Lab, who: str) -> None:
        command = (str(BIN / "troth"), "--profile", str(lab.folder / who), "--json", "receive", "--follow")
        self._process = lab.start(CLIENT, *command)
        self._texts: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            parsed = json.loads(line)
            if parsed["type"] == "message":
                self._texts.put(parsed["text"])

    def wait(self, text: str, seconds: float) -> float:
        """Seconds until exactly this text has come."""
        began = time.monotonic()
        assert self._texts.get(timeout=seconds) == text
        return time.monotonic() - began


def test_not_one_packet_goes_past_the_proxies_while_they_die_and_come_back(lab: Lab) -> None:
    """[R-19.1-2] [R-19.1-3] [R-19.3-3] [R-19.3-4]: names included; nothing is lost, and a dead path is left in 10 s."""
    only = ("--route", f"socks5h://{FIRST}:{SOCKS}", "--route", f"socks5h://{SECOND}:{SOCKS}", "--proxies-only")
    code, _ = lab.troth(CLIENT, "ann", "init", "--relay", lab.link, "--name", "Ann", *only)
    assert code == 0
    code, _ = lab.troth(WORLD, "ben", "init", "--relay", lab.link, "--name", "Ben")
    assert code == 0
    _, cards = lab.troth(WORLD, "ben", "card")
    code, _ = lab.troth(CLIENT, "ann", "add", str(next(line["link"] for line in cards if line["type"] == "card")))
    assert code == 0
    lab.troth(WORLD, "ben", "receive")
    _, waiting = lab.troth(WORLD, "ben", "requests")
    assert lab.troth(WORLD, "ben", "accept", str(waiting[0]["fingerprint"]))[0] == 0
    ann = str(waiting[0]["fingerprint"])
    listener = Listener(lab, "ann")

    def tell(text: str, seconds: float) -> float:
        assert lab.troth(WORLD, "ben", "send", ann, text)[0] == 0
        return listener.wait(text, seconds)

    tell("by the one", 20)
    used, other = lab.in_use()
    lab.block(used)
    died = time.monotonic()
    tell("by the other", 20)
    assert lab.in_use() == (other, used)
    fell_back = time.monotonic() - died
    lab.block(FIRST, SECOND)
    assert lab.troth(WORLD, "ben", "send", ann, "after the dark")[0] == 0
    time.sleep(20)
    lab.block()
    recovered = listener.wait("after the dark", 60)
    lab.block(other)
    tell("by the one again", 30)
    print(
        f"fell back in {fell_back:.1f} s, back {recovered:.1f} s after a dark of 20 s; proxied {lab.count('proxied')}"
    )
    assert fell_back < 10 + 3, "10 s, and what it takes to start a command that sends"
    assert lab.count("proxied") > 50
    assert (lab.count("elsewhere"), lab.count("names")) == (0, 0)


def test_the_counters_do_count(lab: Lab) -> None:
    """The same lab without the switch: the name is asked for, so the zero above means something."""
    code, _ = lab.troth(CLIENT, "ann", "init", "--relay", lab.link)
    assert code == 3
    assert lab.count("names") > 0
    assert lab.count("elsewhere") > 0
