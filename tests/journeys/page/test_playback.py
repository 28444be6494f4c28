"""What a person hears is what the server sent, from the first sample to the last."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import soundfile

from support.tools.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def same(heard: np.ndarray, sent: np.ndarray) -> bool:
    return len(heard) == len(sent) and bool((heard == sent).all())


async def test_speech_is_heard_as_it_was_sent_and_can_be_kept(tab: Tab) -> None:
    await tab.page.fill("#text", "You hear every sample of this. And once only.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    sent = tab.received()
    assert len(sent) > 2 * 24000
    assert same(await tab.played(), sent)

    async with tab.page.expect_download() as kept:
        await tab.page.get_by_role("button", name="Download").click()
    download = await kept.value
    assert download.suggested_filename == "speech.wav"
    samples, rate = soundfile.read(io.BytesIO((await download.path()).read_bytes()), dtype="int16")
    assert rate == 24000
    assert same(np.trim_zeros(samples), sent)


async def test_replay_is_the_same_again(tab: Tab) -> None:
    await tab.page.fill("#text", "Twice.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    await tab.forget()
    await tab.page.get_by_role("button", name="Replay").click()
    await tab.status("Playing…")
    await tab.status("Done.")
    assert same(await tab.played(), tab.received())
    assert len(tab.sent("run-task")) == 1


async def test_the_figures_are_those_of_the_task(tab: Tab) -> None:
    await tab.page.fill("#text", "He told me to say 你好 now.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    (finished,) = [
        json.loads(frame)["payload"]
        for _, frame in tab.frames
        if isinstance(frame, str) and '"task-finished"' in frame
    ]
    assert await tab.figure("characters") == str(finished["usage"]["characters"]) == "27"
    assert await tab.figure("seconds") == f"{finished['metrics']['speech_len']:.1f} s"
    assert await tab.figure("rtf") == f"{finished['metrics']['rtf']:.3f}"
    assert await tab.figure("gaps") == "0"
    package, sound = [
        int((await tab.figure(name)).removesuffix(" ms"))
        for name in ("first-package", "first-sound")
    ]
    assert 0 < package < sound


async def test_speech_begins_before_the_text_ends(tab: Tab) -> None:
    text = "This came first of all. " + "Then came many more words, one after another. " * 4
    await tab.page.fill("#text", text)
    await tab.page.check("#paced")
    await tab.page.fill("#pace", "20")
    await tab.page.click("#speak")
    await tab.until("document.getElementById('first-sound').textContent.endsWith('ms')")
    assert tab.sent("finish-task") == []
    assert " of " in await tab.figure("characters")
    await tab.until("!document.getElementById('characters').textContent.includes('of')")
    await tab.page.keyboard.press("Escape")
    pieces = [json.loads(f)["payload"]["input"]["text"] for f in tab.sent("continue-task")]
    assert len(pieces) > 10
    assert "".join(pieces) == text


async def test_stopping_is_silence_at_once_here_and_there(tab: Tab) -> None:
    await tab.page.fill("#text", "On and on and on it goes. " * 20)
    await tab.page.check("#paced")
    await tab.page.click("#speak")
    await tab.sounds()
    await tab.page.keyboard.press("Escape")
    await tab.status("Stopped.")
    assert len(tab.sent("cancel-task")) == 1
    # 50 ms for the ramp, then a second of the audio clock without a sound.
    await tab.page.evaluate("window.clock = tap.contexts[0].currentTime")
    await tab.until("tap.contexts[0].currentTime > clock + 0.05")
    await tab.forget()
    await tab.until("tap.contexts[0].currentTime > clock + 1")
    assert len(await tab.played()) == 0
    assert await tab.page.inner_text("#speak") == "Speak"

    await tab.page.fill("#text", "And again.")
    await tab.page.uncheck("#paced")
    tab.frames.clear()
    await tab.page.click("#speak")
    await tab.status("Done.")
    assert same(await tab.played(), tab.received())


async def test_gaps_are_counted(tab: Tab) -> None:
    await tab.page.fill("#text", "One.\nTwo.\nThree, after a wait for each of these few words.")
    await tab.page.check("#paced")
    await tab.page.fill("#pace", "1")
    await tab.page.click("#speak")
    await tab.until("Number(document.getElementById('gaps').textContent) > 0")
    await tab.page.fill("#pace", "40")
    await tab.status("Done.")
    assert len(await tab.played()) > len(tab.received())


async def test_a_minute_has_no_gap(long_tab: Tab) -> None:
    await long_tab.status("Done.")
    sent = long_tab.received()
    assert len(sent) > 60 * 24000
    assert same(await long_tab.played(), sent)
    assert await long_tab.figure("gaps") == "0"
    assert long_tab.failures == []
