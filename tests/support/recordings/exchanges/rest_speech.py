"""Speech over REST, as events and whole."""

from __future__ import annotations

import asyncio
from typing import Any

from ..book import Book
from ..http import Request
from ..sound import Sound
from ..stage import ALICE, BOB, NOBODY, Stage, json_bytes

book = Book("rest/speech")

PATH = "/api/v1/audio/speech"
FORMATS = ("wav", "mp3", "pcm", "opus", "aac", "flac")
TELEPHONE = ("ulaw", "alaw", "wav_ulaw", "wav_alaw")
UNKNOWN_ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def call(text: str | None = "one two", *, stream: bool | None = None, **given: Any) -> Any:
    asked = {"mode": "fast_replication", "reference_audio_id": "plain", "output_format": "pcm"}
    body = {"model": "cosyvoice-v2", "input": {**asked, "text": text, **given}}
    return body if stream is None else {**body, "stream": stream}


@book.exchange()
async def events(stage: Stage) -> None:
    await stage.post(PATH, call(), sound=Sound("pcm"))
    await stage.post(PATH, call("one", stream=True, debug=True), sound=Sound("pcm"))
    await stage.post(PATH, call("", output_format=None), sound=Sound("wav"))


@book.exchange()
async def every_format_in_events(stage: Stage) -> None:
    for name in FORMATS:
        await stage.post(PATH, call("one", output_format=name), sound=Sound(name))


@book.exchange()
async def every_format_whole(stage: Stage) -> None:
    for name in FORMATS:
        asked = call("one two", stream=False, output_format=name)
        await stage.post(PATH, asked, sound=Sound(name))


@book.exchange()
async def the_sound_of_telephones(stage: Stage) -> None:
    for name in TELEPHONE:
        for stream in (True, False):
            asked = call("one two", stream=stream, output_format=name)
            await stage.post(PATH, asked, sound=Sound(name, 8000))
    await stage.post(PATH, call(output_format="alaw", sample_rate=16000))


@book.exchange(engine={"word_times": True})
async def words_marks_and_notices(stage: Stage) -> None:
    text = '<speak>one <mark name="here"/>two<phoneme ph="x">three</phoneme></speak>'
    more = {"enable_ssml": True, "word_timestamp_enabled": True}
    for stream in (True, False):
        await stage.post(PATH, call(text, stream=stream, **more), sound=Sound("pcm"))


@book.exchange()
async def every_parameter_reaches_the_engine_and_the_encoder(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    for given in (
        {"mode": "natural_language_replication", "instruct": "Speak slowly"},
        {"reference_audio_id": "Deep"},
        {"reference_audio_id": reference_id},
        {"speed": 1.5, "pitch": 0.5},
        {"seed": 7},
        {"volume": 0.5},
        {"sample_rate": 8000},
    ):
        sound = Sound("pcm", int(given.get("sample_rate", 24000)))
        await stage.post(PATH, call("one", stream=False, **given), sound=sound)


@book.exchange()
async def bodies_that_are_no_call(stage: Stage) -> None:
    good = call()
    bodies: tuple[Any, ...] = (
        b"",
        b"{not json",
        b"\xff",
        [],
        {},
        {**good, "model": None},
        {**good, "model": 1},
        {**good, "model": "tts-1"},
        {**good, "input": None},
        {**good, "input": []},
        {**good, "stream": "yes"},
        call(None),
        call(7),  # type: ignore[arg-type]
        call(audio_transport="binary"),
        call(mode="sing", speed=9),
        call(reference_audio_id=UNKNOWN_ID),
        call(enable_ssml=True, text="<speak>"),
    )
    for body in bodies:
        await stage.post(PATH, body)
    await stage.post(PATH, b"not packed", {**ALICE, "Content-Encoding": "gzip"})


@book.exchange(max_task_characters=10, max_message_bytes=1024)
async def more_than_is_allowed(stage: Stage) -> None:
    await stage.post(PATH, call("o" * 11))
    await stage.post(PATH, call("o" * 1024))


@book.exchange(max_tasks_per_token=1, max_tasks=2)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    first, second = (Request("POST", PATH, who, json_bytes(call("one"))) for who in (ALICE, BOB))
    with stage.silence():
        running = []
        for request in (first, second):
            stage.engine.opened.clear()
            running.append(asyncio.create_task(stage.fetch(request)))
            await stage.engine.opened.wait()
            await stage.ask(request)
    for request, answer in zip((first, second), running, strict=True):
        stage.tell(request, await answer, Sound("pcm"))


@book.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    await stage.post(PATH, call(text="one"), sound=Sound("pcm"))
    await stage.post(PATH, call(text="one two"))


@book.exchange()
async def an_engine_that_fails_at_once(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "BROKEN", "NOT-READY", "UNSUPPORTED"):
        await stage.post(PATH, call(word))
    await stage.post(PATH, call(stream=False, text="one DIED"))
    await stage.post(PATH, call(instruct="UNSUPPORTED"))
    await stage.engine.stop()
    await stage.post(PATH, call())


@book.exchange()
async def an_engine_that_fails_later(stage: Stage) -> None:
    for word in ("DIED", "BROKEN"):
        await stage.post(PATH, call(f"one {word}"), sound=Sound("pcm"))


@book.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    await stage.post(PATH, call(reference_audio_id=reference_id))


@book.exchange(body_timeout=0.2)
async def a_body_that_does_not_come(stage: Stage) -> None:
    await stage.ask(Request("POST", PATH, ALICE, b'{"model":', 100))


@book.exchange()
async def requests_without_a_valid_token(stage: Stage) -> None:
    await stage.post(PATH, call(), NOBODY)


@book.exchange()
async def other_methods_and_addresses(stage: Stage) -> None:
    await stage.get(PATH)
    await stage.get("/nowhere")
    await stage.get("/api/v1/nowhere", NOBODY)
    await stage.post(f"{PATH}/", call())


@book.exchange(tokens=())
async def a_page_of_another_origin(stage: Stage) -> None:
    await stage.post(PATH, call(), {"Origin": "http://evil.example"})


@book.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    stage.server.services.admission.drain()
    await stage.post(PATH, call())
