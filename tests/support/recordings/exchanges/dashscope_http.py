"""DashScope's HTTP API."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

from ..book import Book
from ..sound import Sound
from ..stage import ALICE, BOB, NOBODY, Stage
from ..uploads import CLIP, SILENT

speech = Book("dashscope/speech")
enrollment = Book("dashscope/enrollment")

CUSTOMIZATION = "/api/v1/services/audio/tts/customization"
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


# Enrollment


def action(name: Any, **given: Any) -> dict[str, Any]:
    return {"model": "voice-enrollment", "input": {"action": name, **given}}


def created(url: Any = None, **given: Any) -> dict[str, Any]:
    asked = {"target_model": "cosyvoice-v2", "prefix": "mine", "url": url or data_url(CLIP)}
    return action("create_voice", **{**asked, **given})


def data_url(clip: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(clip).decode()


@enrollment.exchange()
async def a_voice_and_what_becomes_of_it(stage: Stage) -> None:
    answer = await stage.post(CUSTOMIZATION, created(text="What is said."))
    made = answer.json()["output"]["voice_id"]
    await stage.post(CUSTOMIZATION, action("list_voice", page_index=0, page_size=10))
    await stage.post(CUSTOMIZATION, action("list_voice", prefix="other"))
    await stage.post(CUSTOMIZATION, action("query_voice", voice_id=made))
    await stage.post(CUSTOMIZATION, action("query_voice", voice_id=made), BOB)
    await stage.post(CUSTOMIZATION, action("update_voice", voice_id=made, url=data_url(CLIP)))
    await stage.get("/api/v1/audio/reference_audio")
    await stage.post(PATH, call("one", voice=made), SSE, sound=Sound("pcm"))
    await stage.post(CUSTOMIZATION, action("delete_voice", voice_id=made))
    await stage.post(CUSTOMIZATION, action("delete_voice", voice_id=made))


@enrollment.exchange()
async def calls_that_are_refused(stage: Stage) -> None:
    for body in (
        {"model": "cosyvoice-v2", "input": {}},
        action("make_voice"),
        created(prefix="not_mine"),
        created(target_model="tts-1"),
        created("https://example.com/clip.wav"),
        created("data:audio/wav,sound"),
        created("data:audio/wav;base64,$"),
        created(data_url(SILENT)),
        action("list_voice", page_size=0),
    ):
        await stage.post(CUSTOMIZATION, body)
    await stage.post(CUSTOMIZATION, action("list_voice"), NOBODY)
