"""The reference in a real browser: it fits, it can be read, its own policy stops nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import pytest

from support.peers.peers import Peer
from support.tools.browser import executable, launched

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

# The WCAG's contrast of each text with what is painted behind it; gives the texts that have too little.
PALE = """
() => {
  const channel = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) =>
    0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    throw new Error('nothing is painted');
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [one, other] = [parts(getComputedStyle(element).color), behind(element)].map(light);
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) pale.push(`${texts.currentNode.data}: ${contrast.toFixed(1)}`);
  }
  return pale;
}
"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    executable()
    async with launched() as browser:
        yield browser


async def opened(
    browser: Browser, peer: Peer, scheme: Literal["light", "dark"], width: int
) -> Page:
    """The reference in a window of that width, which fails the test where it complains."""
    window = await browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    page = await window.new_page()
    page.on("console", lambda said: pytest.fail(f"console: {said.text}"))
    await page.goto(peer.server.url + "/docs")
    return page


async def test_it_fits_a_phone_and_a_desk(browser: Browser, peer: Peer) -> None:
    for width in (320, 390, 700, 1280):
        page = await opened(browser, peer, "light", width)
        await page.evaluate("document.querySelectorAll('details').forEach((it) => it.open = true)")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_it_can_be_read_by_day_and_by_night(browser: Browser, peer: Peer) -> None:
    backgrounds = set()
    for scheme in ("light", "dark"):
        for width in (390, 1280):
            page = await opened(browser, peer, scheme, width)  # type: ignore[arg-type]
            assert await page.evaluate(PALE) == []
            backgrounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2  # the policy lets the style sheet in


async def test_links_within_it_lead_to_their_place(browser: Browser, peer: Peer) -> None:
    page = await opened(browser, peer, "light", 390)
    await page.get_by_role("link", name="Contents", exact=True).click()
    await page.get_by_role("navigation").get_by_role("link", name="Upload a clip").click()
    place = page.locator("#uploadReferenceAudio")
    assert await place.evaluate("(it) => it.matches(':target')")
    box = await place.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 100


async def test_it_can_be_walked_through_with_keys(browser: Browser, peer: Peer) -> None:
    page = await opened(browser, peer, "light", 1280)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the text"
    await page.keyboard.press("Enter")
    assert page.url.endswith("/docs#main")
