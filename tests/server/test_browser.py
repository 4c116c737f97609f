"""The page in headless Chromium, through its DevTools protocol: phone and desktop, light and dark, nothing blocked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from server.conftest import serving
from troth_server import page_text, standing
from troth_server.config import Config, Page
from troth_server.ledger_file import LedgerFile

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
LONG = "a-name-that-no-line-can-hold-" * 8


class Tab:
    """One tab, driven over a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next = 0
        self.events: list[dict[str, object]] = []

    async def call(self, method: str, **parameters: object) -> dict[str, object]:
        self._next += 1
        await self._socket.send(json.dumps({"id": self._next, "method": method, "params": parameters}))
        while True:
            said = json.loads(await asyncio.wait_for(self._socket.recv(), 30))
            if said.get("id") == self._next:
                assert "error" not in said, said
                result: dict[str, object] = said["result"]
                return result
            self.events.append(said)

    async def value(self, expression: str) -> object:
        result = (await self.call("Runtime.evaluate", expression=expression, returnByValue=True))["result"]
        assert isinstance(result, dict)
        return result.get("value")


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    process = subprocess.Popen(  # noqa: ASYNC220
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0",
         "--ignore-certificate-errors", "--no-first-run", f"--user-data-dir={tmp_path}/browser", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = tmp_path / "browser" / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not port_file.exists() or len(port_file.read_text().split()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        port, path = port_file.read_text().split()
        async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None) as socket:
            browser = Tab(socket)
            target = (await browser.call("Target.createTarget", url="about:blank"))["targetId"]
            async with connect(f"ws://127.0.0.1:{port}/devtools/page/{target}", proxy=None, max_size=None) as page:
                yield Tab(page)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.slow
async def test_on_a_phone_and_a_desktop_in_light_and_dark(
    tab: Tab, founded: tuple[Config, LedgerFile], tmp_path: Path
) -> None:
    config, ledger = founded
    page = Page(True, LONG, "Ann Ames, for the members", f"{LONG}@example.org", "For members.\nBe kind.")
    config = dataclasses.replace(config, page=page)
    (tmp_path / "store").mkdir()
    async with serving(config, ledger, tmp_path / "store") as relay:
        relay.listener.renew(standing.read(config, relay.listener.now()))
        for method in ("Page.enable", "Log.enable", "Network.enable"):
            await tab.call(method)
        for width, scheme in ((390, "light"), (390, "dark"), (1_280, "light"), (1_280, "dark"), (320, "light")):
            media = [{"name": "prefers-color-scheme", "value": scheme}]
            await tab.call("Emulation.setEmulatedMedia", features=media)
            await tab.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
            )
            await tab.call("Page.navigate", url=f"https://127.0.0.1:{relay.listener.port}/")
            async with asyncio.timeout(20):
                loaded = "document.readyState + !!document.querySelector('h1')"
                while await tab.value(loaded) != "completetrue":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            # Nothing sticks out to the side, at the width of a phone, with names that no line can hold.
            assert await tab.value("document.documentElement.scrollWidth") == width
            widest = "Math.max(...[...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right))"
            assert float(str(await tab.value(widest))) <= width
            for name, expression in (("paper", "backgroundColor"), ("ink", "color")):
                colour = str(await tab.value(f"getComputedStyle(document.body).{expression}"))
                wanted = page_text.COLOURS[name][scheme == "dark"]
                assert "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3]) == wanted
            size = str(await tab.value("getComputedStyle(document.querySelector('p')).fontSize"))
            assert float(size.removesuffix("px")) >= 16
            square = "(r => [r.width, r.height])(document.querySelector('.qr').getBoundingClientRect())"
            sides = await tab.value(square)
            assert isinstance(sides, list)
            assert abs(sides[0] - sides[1]) < 2  # the picture stands in a square of its own
            assert sides[0] >= 180
        complaints = [each for each in tab.events if each["method"] == "Log.entryAdded"]
        assert not [each for each in complaints if "favicon" not in json.dumps(each)], complaints
        fetched = {
            re.sub(r"^https://127\.0\.0\.1:\d+", "", str(re.search(r'"url": "([^"]+)"', json.dumps(each))[1]))  # type: ignore[index]
            for each in tab.events if each["method"] == "Network.requestWillBeSent"
        }  # fmt: skip
        assert fetched <= {"/", "/favicon.ico"}
