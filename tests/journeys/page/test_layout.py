"""The page for everybody: small screens, keyboards, screen readers, dark rooms."""

from __future__ import annotations

import pytest

from cosyserve.server.app import RunningServer
from support.tools.browser import OpenTab, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Contrast of every text with what is behind it, after WCAG 2.2: relative luminance, 4.5 to 1.
LOW_CONTRAST = """() => {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (color) => {
    const [r, g, b] = rgb(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return color === 'rgba(0, 0, 0, 0)' && element.parentElement ? behind(element.parentElement) : color;
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const said = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(said || element.value) || !element.checkVisibility() || element.disabled) continue;
    const shades = [getComputedStyle(element).color, behind(element)].map(luminance).sort();
    if ((shades[1] + 0.05) / (shades[0] + 0.05) < 4.5) found.push(element.outerHTML.slice(0, 80));
  }
  return found;
}"""


async def show_everything(tab: Tab) -> None:
    """All that may be folded away, and a long error."""
    await tab.page.click("summary")
    await tab.page.check("#paced")
    await tab.page.select_option("#mode", label="Follow an instruction")
    await tab.page.evaluate("error.textContent = 'InvalidParameter: ' + 'x'.repeat(90)")


WIDER_THAN_THE_WINDOW = """[...document.querySelectorAll('body *')]
  .filter((element) => element.checkVisibility() && !element.closest('.hidden, .skip'))
  .filter((element) => element.getBoundingClientRect().right > innerWidth)
  .map((element) => element.outerHTML)"""


async def test_no_width_scrolls_sideways(tab: Tab) -> None:
    await show_everything(tab)
    for width in (320, 360, 820, 1280):
        await tab.page.set_viewport_size({"width": width, "height": 740})
        for source in ("record", "file"):
            await tab.page.check(f"[value={source}]")
            assert await tab.page.evaluate("document.documentElement.scrollWidth") == width
            assert await tab.page.evaluate(WIDER_THAN_THE_WINDOW) == []


async def test_text_can_be_read_in_either_scheme(tab: Tab) -> None:
    await show_everything(tab)
    pages = []
    for scheme in ("light", "dark"):
        await tab.page.emulate_media(color_scheme=scheme)
        pages.append(await tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert await tab.page.evaluate(LOW_CONTRAST) == []
    assert pages[0] != pages[1]


async def test_every_control_has_a_name(tab: Tab) -> None:
    await show_everything(tab)
    devtools = await tab.page.context.new_cdp_session(tab.page)
    tree = (await devtools.send("Accessibility.getFullAXTree"))["nodes"]
    focusable = [
        node
        for node in tree
        if not node["ignored"]
        and any(p["name"] == "focusable" and p["value"]["value"] for p in node["properties"])
        and node["role"]["value"] != "RootWebArea"
    ]
    assert len(focusable) >= 14
    assert [node["role"]["value"] for node in focusable if not node["name"]["value"]] == []
    ids = await tab.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


async def test_the_keyboard_is_enough(tab: Tab) -> None:
    press = tab.page.keyboard.press
    focused: list[str] = []
    for _ in range(12):
        await press("Tab")
        focused.append(
            await tab.page.evaluate("document.activeElement.id || document.activeElement.tagName")
        )
        outline = await tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or focused[-1] == "BODY"  # past the end: the browser's own bar
    skip, docs = "A", "A"
    controls = ("text", "paced", "speak", "voice", "mode", "speed", "SUMMARY")
    assert focused == [skip, *controls, docs, "BODY", skip, "text"]
    await press("Control+A")
    await tab.page.keyboard.type("I was typed, and I go on for a while, so that I can be stopped.")
    await press("Control+Enter")
    await tab.sounds()
    await press("Escape")
    await tab.status("Stopped.")
    assert await tab.page.evaluate("document.activeElement.id") == "text"
    await press("Tab")
    await press("Tab")
    await press("Space")
    await tab.status("Speaking…")
    await press("Space")
    await tab.status("Stopped.")
    assert await tab.page.evaluate("document.activeElement.id") == "speak"


async def test_errors_and_states_are_announced(tab: Tab) -> None:
    await tab.page.fill("#text", "")
    await tab.page.click("#speak")
    assert await tab.page.get_by_role("alert").inner_text() == "There is no text to speak."
    assert await tab.page.locator("#status").get_attribute("role") == "status"
    assert await tab.page.evaluate("document.activeElement.id") == "text"


async def test_little_moves_for_those_who_want_it_so(
    open_tab: OpenTab, server: RunningServer
) -> None:
    tab = await open_tab(server.url, reduced_motion="reduce")
    await tab.connected()
    await tab.page.evaluate(
        "window.drawn = 0;"
        " const clear = CanvasRenderingContext2D.prototype.scale;"
        " CanvasRenderingContext2D.prototype.scale = function (...a)"
        " { drawn++; return clear.apply(this, a); };"
        " window.frames_ = 0; const next = () => { frames_++; requestAnimationFrame(next); }; next();"
    )
    await tab.page.fill("#text", "Just a second.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    drawn, frames = await tab.page.evaluate("[drawn, frames_]")
    assert drawn < 12 < frames
