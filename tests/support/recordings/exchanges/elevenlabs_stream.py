"""ElevenLabs' WebSocket for one text."""

from __future__ import annotations

from typing import Any

from ..book import Book
from ..sound import Sound
from ..stage import ALICE, Stage
from .frames import frame

book = Book("elevenlabs/stream")

KEY = {"xi-api-key": "alice-secret"}
SOUND = '"audio":"'
OUTPUTS = {
    "mp3_24000_64": ("mp3", 24000),
    "mp3_24000": ("mp3", 24000),
    "opus_48000_32": ("opus", 48000),
    "pcm_24000": ("pcm", 24000),
    "pcm_16000": ("pcm", 16000),
    "wav_24000": ("wav", 24000),
    "ulaw_8000": ("ulaw", 8000),
    "alaw_8000": ("alaw", 8000),
}
"""Names of the dialect, with what they mean."""


def address(query: str = "output_format=pcm_24000", voice: str = "plain") -> str:
    return f"/v1/text-to-speech/{voice}/stream-input?{query}"


def say(text: Any, **more: Any) -> str:
    return frame({"text": text, **more})


@book.exchange()
async def a_text_in_pieces(stage: Stage) -> None:
    async with stage.open(address(), KEY) as talk:
        await talk.send(say(" ", voice_settings={"stability": 0.5, "speed": 1.5}))
        await talk.send(say("one ", try_trigger_generation=True))
        await talk.until(SOUND)
        await talk.send(say("tw"), say("o "), say("three"), say(""), say("late"))
        await talk.closed()


@book.exchange(engine={"word_times": True})
async def characters_with_their_times(stage: Stage) -> None:
    for query in ("", "&sync_alignment=true"):
        async with stage.open(address(f"output_format=pcm_24000{query}")) as talk:
            await talk.send(say("“one” 二, "))
            await talk.until(SOUND)
            await talk.until(SOUND)
            await talk.send(say("three! "))
            await talk.until(SOUND)
            await talk.send(say(""))
            await talk.closed()


@book.exchange(engine={"word_times": True})
async def a_flush_and_auto_mode(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say("one", flush=True))
        await talk.until(SOUND)
        await talk.send(say("two"), say(""))
        await talk.closed()
    async with stage.open(address("output_format=pcm_24000&auto_mode=true")) as talk:
        await talk.send(say("one two."))
        await talk.until(SOUND)
        await talk.until(SOUND)
        await talk.send(say("三。"))
        await talk.until(SOUND)
        await talk.send(say(""))
        await talk.closed()


@book.exchange(engine={"word_times": True})
async def ssml(stage: Stage) -> None:
    query = "output_format=pcm_24000&enable_ssml_parsing=true"
    for text in (
        "<speak>one <break time='50ms'/><b>two</b></speak>",
        "<speak>one <s>two</s></speak>",
    ):
        async with stage.open(address(query)) as talk:
            await talk.send(say(text), say(""))
            await talk.closed()


@book.exchange()
async def every_output(stage: Stage) -> None:
    for name, meaning in OUTPUTS.items():
        async with stage.open(address(f"output_format={name}"), sound=Sound(*meaning)) as talk:
            await talk.send(say("one "), say(""))
            await talk.closed()
            talk.say_sound()
    async with stage.open(address("unknown=1"), sound=Sound("mp3", 44100)) as talk:
        await talk.send(say("one "), say(""))
        await talk.closed()
        talk.say_sound()


@book.exchange()
async def every_parameter_reaches_the_engine(stage: Stage) -> None:
    await stage.upload(name="Anna Maria")
    query = "output_format=pcm_24000"
    for path in (
        address(f"{query}&seed=7"),
        address(f"{query}&model_id=cosyvoice-v2&apply_text_normalization=off&auto_mode=0"),
        address(query, "Deep"),
        address(query, "Anna%20Maria"),
        address(query, "21m00Tcm4TlvDq8ikWAM"),
    ):
        async with stage.open(path) as talk:
            await talk.send(say("one "), say(""))
            await talk.closed()


@book.exchange(elevenlabs_default_voice="deep")
async def a_hosted_voice_stands_for_what_is_configured(stage: Stage) -> None:
    async with stage.open(address(voice="21m00Tcm4TlvDq8ikWAM")) as talk:
        await talk.send(say("one "), say(""))
        await talk.closed()


@book.exchange()
async def nothing_to_say(stage: Stage) -> None:
    for messages in ((say(""),), (say(" "), say("")), (frame({"close_socket": True}),)):
        async with stage.open(address()) as talk:
            await talk.send(*messages)
            await talk.closed()


@book.exchange()
async def messages_that_cannot_be_used(stage: Stage) -> None:
    for message in (
        "[]",
        say(5),
        say("one", flush="yes"),
        say("one", voice_settings=1),
        say("one", voice_settings={"speed": 9}),
        say("one", voice_settings={"speed": "fast"}),
        say("one", pronunciation_dictionary_locators=[{"id": "x"}]),
    ):
        async with stage.open(address()) as talk:
            await talk.send(message)
            await talk.closed()
    async with stage.open(address()) as talk:
        await talk.send(say("one "))
        await talk.until(SOUND)
        await talk.send(say(5))
        await talk.closed()
    for unread in ("{not json", b"\x00"):
        async with stage.open(address()) as talk:
            await talk.send(unread)
            await talk.closed()


@book.exchange()
async def voices_that_are_not_there(stage: Stage) -> None:
    for voice in ("nobody", "..%2F..%2Fetc%2Fpasswd", "%00"):
        async with stage.open(address(voice=voice)) as talk:
            await talk.send(say("one "))
            await talk.closed()


@book.exchange()
async def an_engine_that_fails(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "BROKEN", "NOT-READY", "UNSUPPORTED"):
        async with stage.open(address()) as talk:
            await talk.send(say(f"one {word} "))
            await talk.closed()


@book.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    async with stage.open(address(voice=reference_id)) as talk:
        await talk.send(say("one "))
        await talk.closed()


@book.exchange(max_message_characters=10, max_task_characters=15)
async def more_text_than_is_allowed(stage: Stage) -> None:
    for pieces in (("o" * 11,), ("o" * 10, "o" * 10)):
        async with stage.open(address()) as talk:
            await talk.send(*map(say, pieces))
            await talk.closed()


@book.exchange(max_tasks=1)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    async with (
        stage.open(address(), name="a") as first,
        stage.open(address(), ALICE, name="b") as second,
    ):
        await first.send(say("one "))
        await first.until(SOUND)
        await second.send(say("one "))
        await second.closed()


@book.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say("one two "))
        await talk.closed()


@book.exchange(max_tasks=1, preempt_after=0)
async def a_place_that_another_task_takes(stage: Stage) -> None:
    async with (
        stage.open(address(), name="a") as first,
        stage.open(address(), ALICE, name="b") as second,
    ):
        await first.send(say("one "))
        await first.until(SOUND)
        await second.send(say("one "), say(""))
        await second.closed()
        await first.closed()


@book.exchange()
async def text_that_does_not_come(stage: Stage) -> None:
    async with stage.open(address("output_format=pcm_24000&inactivity_timeout=1")) as talk:
        await talk.send(say("one "))
        await talk.closed()
