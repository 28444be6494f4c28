"""vLLM-Omni's speech WebSocket."""

from __future__ import annotations

from typing import Any

from ..book import Book
from ..sound import Sound
from ..stage import NOBODY, Stage
from .frames import frame

book = Book("vllm_omni/stream")
batches = Book("vllm_omni/batch")

PATH = "/v1/audio/speech/stream"
BATCH = "/v1/audio/speech/batch"
START, FINAL = '"audio.start"', '"session.done"'
DONE, CLOSE = frame({"type": "input.done"}), frame({"type": "session.close"})


def config(**fields: Any) -> str:
    asked = {"voice": "plain", "response_format": "pcm", "stream_audio": True}
    return frame({"type": "session.config", **asked, **fields})


def say(text: Any) -> str:
    return frame({"type": "input.text", "text": text})


@book.exchange()
async def an_utterance_spoken_while_its_text_comes(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(), say("one "))
        await talk.read(2)
        await talk.send(say("two "))
        await talk.read()
        await talk.send(DONE)
        await talk.until(FINAL)
        talk.say_sound()


@book.exchange()
async def utterances_in_turn_and_one_without_text(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(speed=4), say("one "), DONE, say("two "), DONE, DONE, CLOSE)
        await talk.closed()


@book.exchange()
async def every_format(stage: Stage) -> None:
    for name in ("wav", "mp3", "opus", "aac", "flac"):
        async with stage.open(PATH, sound=Sound(name)) as talk:
            with stage.silence():
                await talk.send(config(response_format=name), say("one two "), DONE)
            await talk.until(FINAL)
            talk.say_sound()


@book.exchange(engine={"word_times": True})
async def words_with_their_times(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(word_timestamps=True), say("one two "), DONE)
        await talk.until(FINAL)


@book.exchange()
async def words_without_times(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(word_timestamps=True), say("one "), DONE)
        await talk.until(FINAL)


@book.exchange()
async def messages_that_cannot_be_used(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config())
        for message in (
            "[]",
            frame({"type": "hello"}),
            frame({"type": "input.text"}),
            say(5),
            config(response_format="ulaw"),
            config(speed=9),
            config(model="nobody/nothing"),
            config(task_type="VoiceDesign"),
            config(ref_audio="https://voice.example/a.wav"),
            config(word_timestamps=True, response_format="mp3"),
            config(voice="x" * 129),
        ):
            await talk.send(message)
            await talk.read()
        await talk.send(say("one "), config())
        await talk.until('"InvalidState"')


@book.exchange()
async def an_utterance_that_fails_and_the_next_one(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(voice="nobody"), say("one "))
        await talk.until(FINAL)
        await talk.send(say("late "), DONE, config(), say("two "), DONE)
        await talk.until(FINAL)


@book.exchange()
async def a_connection_that_begins_without_a_configuration(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(say("one "))
        await talk.read()
        await talk.send(DONE)
        await talk.closed()


@book.exchange()
async def nobody_without_a_token(stage: Stage) -> None:
    await stage.refused(PATH, NOBODY)


@book.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(config(), say("one two "), DONE)
        await talk.until(FINAL)


@batches.exchange()
async def texts_with_what_differs_for_each(stage: Stage) -> None:
    items = ({"input": "one two"}, {"input": "three", "response_format": "wav", "speed": 2})
    await stage.post(BATCH, {"items": items, "voice": "plain", "response_format": "pcm"})


@batches.exchange()
async def items_that_fail_alone(stage: Stage) -> None:
    items = [{"input": "one"}, {}, {"input": "two", "voice": "nobody"}, "three"]
    await stage.post(BATCH, {"items": items, "voice": "plain", "response_format": "pcm"})


@batches.exchange(max_batch_items=2, max_task_characters=10)
async def batches_that_cannot_be_used(stage: Stage) -> None:
    for body in ({}, {"items": []}, {"items": [{}] * 3}, {"items": [{"input": "eleven char"}]}):
        await stage.post(BATCH, body)
