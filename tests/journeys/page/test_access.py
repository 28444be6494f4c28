"""The page and the token: asked for, kept in the tab alone, sent where it belongs."""

from __future__ import annotations

import json

import pytest

from cosyserve.server.app import RunningServer
from support.tools.browser import FreshServer, OpenTab, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def connect(tab: Tab, token: str) -> None:
    await tab.page.get_by_label("Token").fill(token)
    await tab.page.keyboard.press("Enter")


async def test_nothing_is_asked_before_a_token_is_there(
    open_tab: OpenTab, token_server: RunningServer
) -> None:
    asked: list[str] = []
    tab = await open_tab(token_server.url)
    tab.page.on("request", lambda request: asked.append(request.url))
    await tab.until("document.activeElement.id === 'token'")
    await tab.page.click("#speak")
    await tab.until("document.activeElement.id === 'token'")
    assert asked == []


async def test_a_token_opens_the_page_and_stays_in_the_tab(
    open_tab: OpenTab, token_server: RunningServer
) -> None:
    tab = await open_tab(token_server.url)
    await connect(tab, "open-sesame")
    await tab.connected()
    assert not await tab.page.is_visible("#token")
    await tab.page.fill("#text", "Hello.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    kept = await tab.page.evaluate(
        "[Object.values(sessionStorage), localStorage.length, document.cookie, location.href]"
    )
    assert kept == [["open-sesame"], 0, "", f"{token_server.url}/"]

    await tab.page.reload()
    await tab.connected()
    await tab.page.get_by_role("button", name="Change token").click()
    await tab.page.reload()
    await tab.until("document.activeElement.id === 'token'")


async def test_a_wrong_token_is_refused(open_tab: OpenTab, token_server: RunningServer) -> None:
    tab = await open_tab(token_server.url)
    for token in ("shut", "öffne dich", "two words", "(shut)"):
        await tab.page.evaluate("error.textContent = ''")
        await connect(tab, token)
        assert "token" in await tab.error()
        assert await tab.page.inner_text("#connection") == "Not connected"
        assert await tab.page.evaluate("sessionStorage.length") == 0
    tab.failures = [each for each in tab.failures if "401" not in each]  # the browser's own notice

    await connect(tab, "open-sesame")
    await tab.connected()
    assert await tab.page.inner_text("#error") == ""


async def test_a_token_that_no_browser_can_send_is_said(
    open_tab: OpenTab, token_server: RunningServer
) -> None:
    tab = await open_tab(token_server.url)
    await connect(tab, "(sesame)")
    await tab.until("voice.options.length > 0 && !document.activeElement.matches('#token')")
    await tab.page.click("#speak")
    assert "characters that a browser cannot send" in await tab.error()


async def test_a_failed_task_says_why(tab: Tab) -> None:
    await tab.page.evaluate("voice.append(new Option('Nobody', 'nobody', true, true))")
    await tab.page.click("#speak")
    assert (await tab.error()).startswith("ReferenceAudioNotFound: ")
    assert await tab.page.inner_text("#speak") == "Speak"
    await tab.page.select_option("#voice", "bruno")
    await tab.page.fill("#text", "Hello.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    assert await tab.page.inner_text("#error") == ""


async def test_a_blank_text_is_not_sent(tab: Tab) -> None:
    await tab.page.fill("#text", " \n")
    await tab.page.click("#speak")
    assert await tab.error() == "There is no text to speak."
    assert tab.frames == []


async def test_a_long_text_goes_in_messages_that_are_taken(tab: Tab) -> None:
    text = "😀 good " * 700
    await tab.page.fill("#text", text)
    await tab.page.click("#speak")
    await tab.sounds()
    await tab.page.keyboard.press("Escape")
    pieces = [json.loads(f)["payload"]["input"]["text"] for f in tab.sent("continue-task")]
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 4000


async def test_a_lost_connection_is_said_and_mended(
    open_tab: OpenTab, fresh_server: FreshServer
) -> None:
    async with fresh_server() as server:
        tab = await open_tab(server.url)
        await tab.connected()
        await tab.page.fill("#text", "On and on it goes. " * 20)
        await tab.page.check("#paced")
        await tab.page.click("#speak")
        await tab.sounds()
        for connection in server.websockets.connections:
            await connection.close(1012)
        assert "connection to the server was lost" in await tab.error()
        assert await tab.page.inner_text("#connection") == "Not connected"

        await tab.page.uncheck("#paced")
        await tab.page.fill("#text", "Here again.")
        await tab.page.click("#speak")
        await tab.status("Done.")
        assert await tab.page.inner_text("#connection") == "Connected"
