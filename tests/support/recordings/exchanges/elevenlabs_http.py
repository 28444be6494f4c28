"""ElevenLabs' HTTP API."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from ..book import Book
from ..http import Request
from ..sound import Sound
from ..stage import ALICE, BOB, NOBODY, Stage, json_bytes
from ..uploads import form
from .elevenlabs_stream import KEY, OUTPUTS

speech = Book("elevenlabs/speech")
voices = Book("elevenlabs/voices")
dictionaries = Book("elevenlabs/dictionaries")
refusals = Book("elevenlabs/refusals")

PCM = "?output_format=pcm_24000"


def path(kind: str = "", query: str = PCM, voice: str = "plain") -> str:
    return f"/v1/text-to-speech/{voice}{kind}{query}"


def call(text: Any = "one two", **more: Any) -> dict[str, Any]:
    return {"text": text, **more}


# Speech


@speech.exchange()
async def sound_as_it_is_made(stage: Stage) -> None:
    for kind in ("", "/stream"):
        await stage.post(path(kind), call(), KEY, sound=Sound("pcm"))
    await stage.post(path(query=""), call("one"), sound=Sound("mp3", 44100))


@speech.exchange()
async def every_output(stage: Stage) -> None:
    for name, meaning in OUTPUTS.items():
        asked = path(query=f"?output_format={name}")
        await stage.post(asked, call("one"), sound=Sound(*meaning))


@speech.exchange(engine={"word_times": True})
async def sound_with_the_times_of_characters(stage: Stage) -> None:
    for kind in ("/with-timestamps", "/stream/with-timestamps"):
        await stage.post(path(kind), call("“one” 二, two!"), sound=Sound("pcm"))
        await stage.post(path(kind, "?output_format=wav_24000"), call("one"), sound=Sound("wav"))


@speech.exchange()
async def times_where_the_engine_knows_none(stage: Stage) -> None:
    for kind in ("/with-timestamps", "/stream/with-timestamps"):
        await stage.post(path(kind), call("one"), sound=Sound("pcm"))


@speech.exchange()
async def every_parameter_reaches_the_engine(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    for more in (
        {"voice_settings": {"speed": 1.5, "stability": 0.5}},
        {"seed": 7},
        {"seed": 7.0, "model_id": "eleven_v3", "apply_text_normalization": "on", "unknown": 1},
    ):
        await stage.post(path(), call("one", **more), sound=Sound("pcm"))
    for voice in ("Deep", "Anna", reference_id, "21m00Tcm4TlvDq8ikWAM"):
        await stage.post(path(voice=voice), call("one"), sound=Sound("pcm"))
    await stage.post(path(), call(""), sound=Sound("pcm"))


# Voices


@voices.exchange()
async def lists_and_single_voices(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    await stage.upload()
    for address in ("/v1/voices", "/v2/voices", "/v2/voices?search=AN", "/v2/voices?search=nobody"):
        await stage.get(address, KEY)
    await stage.get("/v1/voices/deep")
    await stage.get(f"/v1/voices/{reference_id}")
    await stage.get(f"/v1/voices/{reference_id}", BOB)
    await stage.get("/v1/voices/nobody")
    await stage.get("/v1/voices", NOBODY)
    await stage.get("/v2/voices", {"xi-api-key": "wrong"})
    await stage.request("DELETE", "/v1/voices/deep")


# Pronunciation dictionaries

DICTIONARIES = "/v1/pronunciation-dictionaries"
RULES = [
    {"type": "alias", "string_to_replace": "one", "alias": "three four"},
    {"type": "alias", "string_to_replace": "Five", "alias": "six", "case_sensitive": False},
]


@dictionaries.exchange()
async def from_the_first_version_to_the_archive(stage: Stage) -> None:
    asked = {"name": "Numbers", "rules": RULES, "description": "some"}
    made = (await stage.post(f"{DICTIONARIES}/add-from-rules", asked, KEY)).json()
    here = f"{DICTIONARIES}/{made['id']}"
    await stage.get(here)
    more = [{"type": "alias", "string_to_replace": "two", "alias": "2", "word_boundaries": False}]
    await stage.post(f"{here}/add-rules", {"rules": more})
    await stage.post(f"{here}/remove-rules", {"rule_strings": ["Five"]})
    await stage.get(here)
    await stage.post(f"{here}/set-rules", {"rules": more})
    await stage.get(f"{here}/{made['version_id']}/download")
    await stage.request("PATCH", here, {"name": "Old", "archived": True})
    await stage.get(DICTIONARIES)
    await stage.get(f"{DICTIONARIES}?include_archived=true&sort=name&page_size=1")


@dictionaries.exchange()
async def a_lexicon(stage: Stage) -> None:
    lexicon = b"<lexicon><lexeme><grapheme>a</grapheme><alias>b</alias></lexeme></lexicon>"
    for file in (lexicon, b"<speak/>"):
        upload = form(file, {"name": "Letters"}, ALICE, filename="letters.pls")
        await stage.ask(replace(upload, path=f"{DICTIONARIES}/add-from-file"))


@dictionaries.exchange()
async def speech_by_its_rules(stage: Stage) -> None:
    asked = {"name": "Numbers", "rules": RULES}
    made = (await stage.post(f"{DICTIONARIES}/add-from-rules", asked)).json()
    located = [{"pronunciation_dictionary_id": made["id"], "version_id": made["version_id"]}]
    more = {"pronunciation_dictionary_locators": located}
    await stage.post(path(), call("one, someone, five", **more), sound=Sound("pcm"))


@dictionaries.exchange()
async def what_is_refused(stage: Stage) -> None:
    sounds = {"type": "phoneme", "string_to_replace": "a", "phoneme": "ʌ", "alphabet": "ipa"}
    for asked in ({}, {"name": "a", "rules": [{}]}, {"name": "a", "rules": [sounds]}):
        await stage.post(f"{DICTIONARIES}/add-from-rules", asked)
    await stage.post(f"{DICTIONARIES}/add-from-file", b"")
    await stage.get(f"{DICTIONARIES}/nothing")
    await stage.get(DICTIONARIES, NOBODY)


# Refusals


@refusals.exchange()
async def bodies_and_addresses_that_are_no_call(stage: Stage) -> None:
    bodies: tuple[Any, ...] = (
        b"",
        b"{not json",
        [],
        {},
        call(None),
        call(7),
        call(model_id="tts-1"),
        call(model_id=1),
        call(seed=-1),
        call(seed=1.5),
        call(seed="x"),
        call(voice_settings=1),
        call(voice_settings={"speed": 3}),
        call(apply_text_normalization="maybe"),
        call(pronunciation_dictionary_locators=[{"id": "x"}]),
    )
    for body in bodies:
        await stage.post(path(), body)
    for name in ("ulaw_16000", "mp3_11025_32", "pcm_24000_64", "opus_44100", "flac_24000"):
        await stage.post(path(query=f"?output_format={name}"), call())
    for voice in ("nobody", "v" * 129):
        await stage.post(path(voice=voice), call())


@refusals.exchange(max_task_characters=10, max_message_bytes=1024)
async def more_than_is_allowed(stage: Stage) -> None:
    await stage.post(path(), call("o" * 11))
    await stage.post(path("/with-timestamps"), call("o" * 1024))


@refusals.exchange(max_tasks=1)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    request = Request("POST", path(), ALICE, json_bytes(call("one")))
    with stage.silence():
        running = asyncio.create_task(stage.fetch(request))
        await stage.engine.opened.wait()
        await stage.ask(request)
    stage.tell(request, await running, Sound("pcm"))


@refusals.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    await stage.post(path(), call("one"), sound=Sound("pcm"))
    await stage.post(path(), call("one two"))


@refusals.exchange()
async def an_engine_that_fails(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "BROKEN", "UNSUPPORTED"):
        await stage.post(path(), call(word))
    await stage.post(path("/with-timestamps"), call("one DIED"))
    for kind in ("/stream", "/stream/with-timestamps"):
        await stage.post(path(kind), call("one DIED"), sound=Sound("pcm"))
    await stage.engine.stop()
    await stage.post(path(), call())


@refusals.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    await stage.post(path(voice=reference_id), call())


@refusals.exchange(body_timeout=0.2)
async def a_body_that_does_not_come(stage: Stage) -> None:
    await stage.ask(Request("POST", path(), ALICE, b'{"text":', 100))


@refusals.exchange()
async def tokens_methods_and_addresses(stage: Stage) -> None:
    await stage.post(path(), call(), NOBODY)
    await stage.post(path(), call(), {"xi-api-key": "wrong"})
    await stage.get(path())
    await stage.get("/v1/text-to-speech/plain/stream-input")
    await stage.post(path("/nowhere"), call())


@refusals.exchange()
async def a_compressed_body(stage: Stage) -> None:
    await stage.post(path(), call(), {**ALICE, "Content-Encoding": "gzip"})


@refusals.exchange(tokens=())
async def a_page_of_another_origin(stage: Stage) -> None:
    await stage.post(path(), call(), {"Origin": "http://evil.example"})


@refusals.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    stage.server.services.admission.drain()
    await stage.post(path(), call())
