"""DashScope's HTTP API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..book import Book
from ..sound import Sound
from ..stage import ALICE, NOBODY, Stage

speech = Book("dashscope/speech")

PATH = "/api/v1/services/audio/tts/SpeechSynthesizer"
SSE = {**ALICE, "X-DashScope-SSE": "enable"}


def call(text: Any = "one two. three", model: Any = "cosyvoice-v2", **given: Any) -> dict[str, Any]:
    asked = {"text": text, "voice": "plain", "format": "pcm", "sample_rate": 24000, **given}
    return {"model": model, "input": asked}


@speech.exchange(engine={"word_times": True})
async def speech_in_events(stage: Stage) -> None:
    await stage.post(PATH, call(word_timestamp_enabled=True), SSE, sound=Sound("pcm"))
    ssml = '<speak>one <mark name="here"/><emphasis>two</emphasis></speak>'
    await stage.post(PATH, call(ssml, enable_ssml=True), SSE, sound=Sound("pcm"))


@speech.exchange()
async def speech_at_an_address(stage: Stage) -> None:
    for audio_format in ("pcm", "wav"):
        answer = await stage.post(PATH, call("one two", format=audio_format))
        address = urlsplit(answer.json()["output"]["audio"]["url"]).path
        for method in ("GET", "HEAD"):
            heard = Sound(audio_format) if method == "GET" else None
            await stage.request(method, address, b"", NOBODY, sound=heard)
    await stage.get("/api/v1/services/audio/tts/sounds/none.wav", NOBODY)


@speech.exchange()
async def bodies_that_are_no_call(stage: Stage) -> None:
    bodies: tuple[Any, ...] = (b"", b"{not json", [], {}, {"model": "cosyvoice-v2"})
    for body in bodies:
        await stage.post(PATH, body)
    for given in (
        {"model": "tts-1"},
        {"text": None},
        {"text": " "},
        {"voice": None},
        {"voice": "nobody"},
        {"format": "ulaw"},
        {"sample_rate": 11025},
        {"rate": 3},
        {"pitch": 0},
        {"volume": 101},
        {"seed": -1},
        {"instruction": "i" * 1001},
        {"text_type": "HTML"},
    ):
        await stage.post(PATH, call(**given), SSE)
    await stage.post(PATH, call(), NOBODY)
    await stage.get(PATH)
    await stage.get("/api/v1/services/aigc/text-generation/generation")


@speech.exchange(max_task_characters=10)
async def more_than_is_allowed(stage: Stage) -> None:
    await stage.post(PATH, call("o" * 11), SSE)
