"""Choosing a voice, and making one of a file or of the microphone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.listening.audio import make_file, speechlike
from support.tools.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAV = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")


async def asked_for(tab: Tab) -> dict[str, Any]:
    """Speak, and give the parameters that were asked for."""
    tab.frames.clear()
    await tab.page.fill("#text", "Hello there.")
    await tab.page.click("#speak")
    await tab.status("Done.")
    assert len(tab.received()) > 0
    (message,) = tab.sent("run-task")
    parameters: dict[str, Any] = json.loads(message)["payload"]["parameters"]
    return parameters


async def chosen(tab: Tab) -> str:
    return str(await tab.page.locator("#voice option:checked").inner_text())


async def test_voice_mode_and_speed_are_asked_for(tab: Tab) -> None:
    await tab.page.select_option("#voice", label="Bruno, male")
    await tab.page.select_option("#mode", label="Follow an instruction")
    await tab.page.fill("#speed", "1.5")
    await tab.page.click("#speak")  # the browser itself asks for the instruction
    assert tab.sent("run-task") == []
    await tab.page.fill("#instruct", "Speak slowly")
    asked = await asked_for(tab)
    assert asked == {
        "mode": "natural_language_replication",
        "reference_audio_id": "bruno",
        "instruct": "Speak slowly",
        "speed": 1.5,
        "output_format": "pcm",
        "sample_rate": 24000,
        "audio_transport": "binary",
    }


async def test_a_file_becomes_a_voice_and_can_be_deleted(tab: Tab) -> None:
    page = tab.page
    await page.click("summary")
    await page.get_by_label("Choose a file").check()
    await page.get_by_role("button", name="Add this voice").click()  # the text is missing
    assert await page.evaluate("document.querySelector('#clip').checkValidity()") is False
    await page.get_by_label("What is said in the file").fill("Some words.")
    await page.get_by_role("button", name="Add this voice").click()
    assert await tab.error() == "Choose a sound file first."
    await page.set_input_files("#file", {"name": "me.wav", "mimeType": "audio/wav", "buffer": WAV})
    await page.get_by_role("button", name="Add this voice").click()
    await tab.until("document.activeElement.id === 'voice'")
    assert (await chosen(tab)).startswith("me.wav, ")
    reference = (await asked_for(tab))["reference_audio_id"]

    await page.reload()
    await tab.connected()
    await page.select_option("#voice", reference)
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Delete").click()
    await tab.until("document.activeElement.id === 'voice'")
    assert await chosen(tab) == "Hanna, female"
    assert not await page.is_visible("#delete-voice")


async def test_what_the_server_refuses_is_said(tab: Tab) -> None:
    await tab.page.click("summary")
    await tab.page.get_by_label("Choose a file").check()
    await tab.page.fill("#clip-text", "Some words.")
    short = make_file(speechlike(16000, 0.3), 16000, "wav", "pcm_s16le")
    await tab.page.set_input_files(
        "#file", {"name": "me.wav", "mimeType": "audio/wav", "buffer": short}
    )
    await tab.page.click("#save")
    assert "0.30 s" in await tab.error()
    tab.failures.clear()  # the browser's own notice of the 400


async def test_a_recording_becomes_a_voice(tab: Tab) -> None:
    page = tab.page
    await page.click("summary")
    await page.click("#save")
    assert await tab.error() == "Record the voice first."
    prompt = await page.get_by_label("Read this aloud").input_value()
    assert len(prompt) > 50
    await page.click("#record")
    await tab.until("parseFloat(recorded.textContent) >= 1.6 && level.value > 0.1")
    await page.click("#record")
    await page.locator("#preview").wait_for()
    await page.get_by_label("Name").fill("Mine")
    await page.get_by_label("Consent given by").fill("Anna")
    await page.get_by_label("Consent given on").fill("2026-01-31")
    await page.click("#save")
    await tab.until("document.activeElement.id === 'voice'")
    assert await page.inner_text("#voice-consent") == "Anna consented on 2026-01-31."
    assert (await chosen(tab)).startswith("Mine, ")
    asked = await asked_for(tab)
    listed = await page.evaluate("fetch('api/v1/audio/reference_audio').then((a) => a.json())")
    (stored,) = [each for each in listed if each["id"] == asked["reference_audio_id"]]
    assert stored["text"] == prompt
    assert stored["filename"] == "recording.webm"
