"""The OpenAI dialect."""

from __future__ import annotations

import asyncio
from typing import Any

from ..book import Book
from ..http import Request
from ..sound import Sound
from ..stage import ALICE, NOBODY, Stage, json_bytes

speech = Book("openai/speech")
lists = Book("openai/lists")
refusals = Book("openai/refusals")

PATH = "/v1/audio/speech"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
TELEPHONE = ("ulaw", "alaw", "wav_ulaw", "wav_alaw")
LISTS = ("/audio/voices", "/audio/models", "/models", "/models/tts-1")


def call(text: Any = "one two", **given: Any) -> dict[str, Any]:
    asked = {"model": "tts-1", "input": text, "voice": "plain", "response_format": "pcm"}
    return asked | given


# Speech


@speech.exchange()
async def every_format(stage: Stage) -> None:
    for name in FORMATS:
        await stage.post(PATH, call(response_format=name), sound=Sound(name))


@speech.exchange()
async def every_format_in_events(stage: Stage) -> None:
    for name in FORMATS:
        asked = call("one", response_format=name, stream_format="sse")
        await stage.post(PATH, asked, sound=Sound(name))


@speech.exchange()
async def the_sound_of_telephones(stage: Stage) -> None:
    for name in TELEPHONE:
        await stage.post(PATH, call(response_format=name), sound=Sound(name, 8000))


@speech.exchange()
async def the_defaults(stage: Stage) -> None:
    asked = {"model": "gpt-4o-mini-tts-2025-12-15", "input": "one", "voice": "alloy"}
    await stage.post("/audio/speech", asked, sound=Sound("mp3"))


@speech.exchange()
async def usage_counts_han_characters_twice(stage: Stage) -> None:
    await stage.post(PATH, call("你好 one", stream_format="sse"), sound=Sound("pcm"))
    await stage.post(PATH, call("", stream_format="sse"), sound=Sound("pcm"))


@speech.exchange()
async def speeds_that_are_spoken_otherwise(stage: Stage) -> None:
    for speed in (0.25, 0.5, 1.25, 2, 4):
        await stage.post(PATH, call("one", speed=speed), sound=Sound("pcm"))


@speech.exchange()
async def instructions_that_are_followed(stage: Stage) -> None:
    for text in ("Whisper.", " ", None):
        await stage.post(PATH, call("one", instructions=text), sound=Sound("pcm"))


@speech.exchange(engine={"instruct": "none"})
async def instructions_that_cannot_be_followed(stage: Stage) -> None:
    asked = call("one", instructions="Whisper.", speed=4, unknown=1)
    await stage.post(PATH, asked, sound=Sound("pcm"))


@speech.exchange(openai_voices="nova=Anna", openai_default_voice="deep")
async def voices_by_name_id_and_alias(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    for voice in ("nova", "alloy", "Anna", {"id": reference_id}, "PLAIN"):
        await stage.post(PATH, call("one", voice=voice), sound=Sound("pcm"))


# Lists


@lists.exchange()
async def voices_and_models(stage: Stage) -> None:
    await stage.upload(name="Anna")
    await stage.upload()
    for prefix in ("/v1", ""):
        for path in LISTS:
            await stage.get(prefix + path)
    for path in LISTS:
        await stage.get(f"/v1{path}", NOBODY)


@lists.exchange(openai_open_lists=True)
async def lists_that_need_no_token(stage: Stage) -> None:
    await stage.upload(name="Anna")
    for path in LISTS:
        await stage.get(f"/v1{path}", NOBODY)
    await stage.get("/audio/voices")
    await stage.get("/v1/audio/voices", {"Authorization": "Bearer wrong"})


@lists.exchange(openai_voices={"nova": "Anna"}, engine={"voices": False})
async def voices_of_an_engine_without_any(stage: Stage) -> None:
    await stage.get("/v1/audio/voices")
    await stage.post(PATH, call(voice="alloy"))
    await stage.post(PATH, call(voice="nova"))


# Refusals


@refusals.exchange()
async def bodies_that_are_no_call(stage: Stage) -> None:
    bodies: tuple[Any, ...] = (b"", b"{not json", [], {})
    for body in bodies:
        await stage.post(PATH, body)
    for given in (
        {"model": 1},
        {"model": "gpt-4"},
        {"model": "tts-1-2025-13"},
        {"text": None},
        {"text": 7},
        {"voice": None},
        {"voice": ""},
        {"voice": {"name": "alloy"}},
        {"voice": "v" * 129},
        {"voice": "nobody"},
        {"instructions": 5},
        {"instructions": "i" * 1001},
        {"response_format": "ogg"},
        {"response_format": 3},
        {"speed": 0.2},
        {"speed": 4.1},
        {"speed": "fast"},
        {"stream_format": "json"},
    ):
        await stage.post(PATH, call(**given))
    await stage.get("/v1/models/gpt-4")


@refusals.exchange(max_task_characters=10, max_message_bytes=1024)
async def more_than_is_allowed(stage: Stage) -> None:
    await stage.post(PATH, call("o" * 11))
    await stage.post(PATH, call("o" * 1024))


@refusals.exchange(max_tasks=1)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    request = Request("POST", PATH, ALICE, json_bytes(call("one")))
    with stage.silence():
        running = asyncio.create_task(stage.fetch(request))
        await stage.engine.opened.wait()
        await stage.ask(request)
    stage.tell(request, await running, Sound("pcm"))


@refusals.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    await stage.post(PATH, call("one"), sound=Sound("pcm"))
    await stage.post(PATH, call("one two"))


@refusals.exchange()
async def an_engine_that_fails_at_once(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "BROKEN", "UNSUPPORTED"):
        await stage.post(PATH, call(word))
    await stage.engine.stop()
    await stage.post(PATH, call("one", stream_format="sse"))


@refusals.exchange()
async def an_engine_that_fails_later(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "UNSUPPORTED", "BROKEN"):
        await stage.post(PATH, call(f"one {word}", stream_format="sse"), sound=Sound("pcm"))
    await stage.post(PATH, call("one DIED"), sound=Sound("pcm"))


@refusals.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    await stage.post(PATH, call(voice=reference_id))


@refusals.exchange(body_timeout=0.2)
async def a_body_that_does_not_come(stage: Stage) -> None:
    await stage.ask(Request("POST", PATH, ALICE, b'{"model":', 100))


@refusals.exchange()
async def tokens_methods_and_addresses(stage: Stage) -> None:
    await stage.post(PATH, call(), NOBODY)
    await stage.get(PATH)
    await stage.post("/v1/models", {})
    await stage.get("/v1/nowhere")
    await stage.get("/audio/nowhere")
    await stage.get("/v1/models/")


@refusals.exchange()
async def a_compressed_body(stage: Stage) -> None:
    await stage.post(PATH, call(), {**ALICE, "Content-Encoding": "gzip"})


@refusals.exchange(tokens=())
async def a_page_of_another_origin(stage: Stage) -> None:
    await stage.post(PATH, call(), {"Origin": "http://evil.example"})


@refusals.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    stage.server.services.admission.drain()
    await stage.post(PATH, call())
