"""The page in a real browser, served by a real server with the embedded voice.

Server and browser live as long as the session: to start them takes longer than most of the tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings
from support.listening.audio import make_file, speechlike
from support.tools.browser import FreshServer, OpenTab, Tab, executable, launched, tap_served

if TYPE_CHECKING:
    from playwright.async_api import Browser

HERE = Path(__file__).parent
RECORDED_HERTZ = 210.0

MINUTE = " ".join(
    f"This is sentence number {number}, and it is spoken so that nobody hears where it was cut."
    for number in range(1, 15)
)

in_session = pytest_asyncio.fixture(scope="session", loop_scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put that of the minute behind the others of this folder: it goes by meanwhile."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ordered = sorted((items[place] for place in places), key=_needs_the_minute)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _needs_the_minute(item: pytest.Item) -> bool:
    return "long_tab" in getattr(item, "fixturenames", ())


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[RunningServer]:
    flags = {"port": 0, "host": "127.0.0.1", "references": str(folder), "embedded_workers": 1}
    with tap_served():
        async with serve(load_settings({**flags, **settings})) as server:
            yield server


@in_session
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server that needs no token."""
    executable()
    async with serving(tmp_path_factory.mktemp("references")) as server:
        yield server


@in_session
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """The browser; its microphone hears a buzz."""
    sound = tmp_path_factory.mktemp("microphone") / "buzz.wav"
    sound.write_bytes(make_file(speechlike(48000, 4.0, RECORDED_HERTZ), 48000, "wav", "pcm_s16le"))
    async with launched(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ) as browser:
        yield browser


@in_session
async def long_tab(browser: Browser, server: RunningServer) -> AsyncIterator[Tab]:
    """A tab that speaks a minute-long text, while other tests go on in other tabs."""
    tab = await Tab.open(browser, server.url)
    await tab.connected()
    await tab.page.fill("#text", MINUTE)
    await tab.page.click("#speak")
    yield tab
    await tab.close()


@pytest.fixture(scope="session", autouse=True)
def begin_the_minute(request: pytest.FixtureRequest) -> None:
    if any(map(_needs_the_minute, request.session.items)):
        request.getfixturevalue("long_tab")


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Browser) -> AsyncIterator[OpenTab]:
    """`await open_tab(url, ...)`; at the end no tab may have done what it must not."""
    async with AsyncExitStack() as stack:
        tabs: list[Tab] = []

        async def open_one(url: str, **context: Any) -> Tab:
            tabs.append(await Tab.open(browser, url, **context))
            stack.push_async_callback(tabs[-1].close)
            return tabs[-1]

        yield open_one
        assert [failure for tab in tabs for failure in tab.failures] == []


@pytest_asyncio.fixture(loop_scope="session")
async def tab(open_tab: OpenTab, server: RunningServer) -> Tab:
    """The page, connected."""
    tab = await open_tab(server.url)
    await tab.connected()
    return tab


@in_session
async def token_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningServer]:
    """A server that wants a token: `open-sesame`, or one that no subprotocol can carry."""
    folder, tokens = tmp_path_factory.mktemp("references"), ("alice=open-sesame", "bob=(sesame)")
    async with serving(folder, tokens=tokens) as server:
        yield server


@pytest.fixture
def fresh_server(tmp_path: Path) -> FreshServer:
    """`async with fresh_server() as server`: one of the test's own."""
    return lambda: serving(tmp_path)
