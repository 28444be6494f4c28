"""A real browser for tests: Chromium, driven by Playwright, with a tap on what it plays.

Debian's packages `chromium` or any Chrome in the path will do; Playwright's own browsers are not used.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from cosyserve.server.app import RunningServer
from cosyserve.server.page import assets as page
from cosyserve.server.page.assets import Asset

from .required import missing

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, WebSocket

FLAGS = (
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Pcm = npt.NDArray[np.int16]

_TAP = """
registerProcessor('tap', class extends AudioWorkletProcessor {
  blocks = [];
  constructor() {
    super();
    this.port.onmessage = () => this.port.postMessage(this.blocks.splice(0));
  }
  process([[block]]) {
    this.blocks.push(block ? block.slice() : new Float32Array(128)); // nothing comes: silence
    return true;
  }
});
"""
# Whatever a page connects to its loudspeaker is connected to the tap as well.
_INSTALL = """
window.tap = { blocks: [], contexts: [] };
const connect = AudioNode.prototype.connect;
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    tap.contexts.push(this);
    tap.ready = this.audioWorklet.addModule('page/test-tap.js').then(() => {
      this.tap = new AudioWorkletNode(this, 'tap');
      connect.call(this.tap, this.destination);
    });
  }
};
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) connect.call(this, this.context.tap);
  return connect.call(this, target, ...rest);
};
tap.collect = () => new Promise((resolve) => {
  const { port } = tap.contexts[0].tap;
  port.onmessage = ({ data }) => resolve(tap.blocks.push(...data));
  port.postMessage('now');
});
tap.read = async () => {
  await tap.collect();
  const pcm = new Int16Array(tap.blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of tap.blocks) for (const sample of block) pcm[at++] = Math.round(sample * 32768);
  const bytes = new Uint8Array(pcm.buffer);
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) {
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  }
  return btoa(text);
};
"""


def executable() -> str:
    """The browser's path; skips the test if it or its driver is missing, or fails where it is required."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        missing("browser", "playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing("browser", f"none of {', '.join(names)} is in the path")


@contextmanager
def tap_served() -> Iterator[None]:
    """Servers that start within serve the tap with the page: its policy takes scripts from nowhere else."""
    load = page.load_page

    def with_tap(needs_token: bool) -> dict[str, Asset]:
        return load(needs_token) | {"test-tap.js": Asset.of("test-tap.js", _TAP.encode(), "")}

    with patch.object(page, "load_page", with_tap):
        yield


@asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Browser]:
    """A headless browser."""
    path = executable()
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """A page of ours in the browser, and all that it does to the outside.

    frames: what went over WebSockets in order, (sent, frame). `failures` are console errors and
    warnings, uncaught exceptions, and requests to anybody but our server.
    """

    page: Page
    url: str
    frames: list[tuple[bool, str | bytes]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, browser: Browser, url: str, **context: Any) -> Tab:
        """A new, private window on that server, its page loaded and the tap in place."""
        window = await browser.new_context(**context)
        page = await window.new_page()
        page.set_default_timeout(60_000)
        tab = cls(page, url)
        page.on("console", lambda said: tab._console(said.type, said.text))
        page.on("pageerror", lambda error: tab.failures.append(f"uncaught: {error}"))
        page.on("request", lambda request: tab._request(request.url))
        page.on("websocket", tab._websocket)
        await page.add_init_script(_INSTALL)
        await page.goto(url)
        await page.evaluate("tap.ready")
        return tab

    async def close(self) -> None:
        await self.page.context.close()

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression, which may wait for something itself, is true."""
        look = f"while (!({condition})) await new Promise((next) => setTimeout(next, 20));"
        async with asyncio.timeout(60):  # wait_for_function() breaks the page's policy by an eval
            await self.page.evaluate(f"async () => {{ {look} }}")

    async def connected(self) -> None:
        await self.page.wait_for_selector("#connection[data-state=open]")

    async def status(self, text: str) -> None:
        """Wait for what the page says that it does."""
        await self.page.get_by_text(text, exact=True).wait_for(timeout=90_000)

    async def error(self) -> str:
        """The error that the page shows, as soon as it shows one."""
        await self.until("document.getElementById('error').textContent !== ''")
        return await self.page.inner_text("#error")

    async def figure(self, name: str) -> str:
        return await self.page.inner_text(f"#{name}")

    async def sounds(self) -> None:
        """Wait until something is heard."""
        await self.until("await tap.collect(), tap.blocks.some((block) => block.some(Boolean))")

    async def forget(self) -> None:
        """What was played so far does not count."""
        await self.page.evaluate("tap.collect().then(() => { tap.blocks = []; })")

    async def played(self) -> Pcm:
        """All samples that were played so far, silence before and after them left out."""
        heard = np.frombuffer(base64.b64decode(await self.page.evaluate("tap.read()")), "<i2")
        return np.trim_zeros(heard)

    def received(self) -> Pcm:
        """All samples that the server sent, silence before and after them left out."""
        binary = [frame for sent, frame in self.frames if isinstance(frame, bytes) and not sent]
        return np.trim_zeros(np.frombuffer(b"".join(binary), "<i2"))

    def sent(self, action: str) -> list[str]:
        """The messages of that action."""
        wanted = f'"action":"{action}"'
        return [
            frame
            for sent, frame in self.frames
            if sent and isinstance(frame, str) and wanted in frame
        ]

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.failures.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.url, f"blob:{self.url}")):
            self.failures.append(f"request to {url}")

    def _websocket(self, socket: WebSocket) -> None:
        self._request(socket.url.replace("ws", "http", 1))
        socket.on("framesent", lambda frame: self.frames.append((True, frame)))
        socket.on("framereceived", lambda frame: self.frames.append((False, frame)))


OpenTab = Callable[..., Awaitable[Tab]]
FreshServer = Callable[[], AbstractAsyncContextManager[RunningServer]]
