"""ElevenLabs' WebSocket for many texts."""

from __future__ import annotations

import asyncio
from typing import Any

from ..book import Book
from ..stage import Stage
from .frames import frame

book = Book("elevenlabs/contexts")

SOUND, FINAL = '"audio":"', '"isFinal":true'


def address(query: str = "output_format=pcm_24000") -> str:
    return f"/v1/text-to-speech/plain/multi-stream-input?{query}"


def say(text: str | None, context: str | None = None, **more: Any) -> str:
    fields = {"text": text, "context_id": context, **more}
    return frame({name: value for name, value in fields.items() if value is not None})


def close(context: str | None = None) -> str:
    return say(None, context, close_context=True)


@book.exchange(engine={"word_times": True})
async def a_context_from_its_first_text_to_its_end(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say(" ", "a", voice_settings={"speed": 1.5}), say("one ", "a"))
        await talk.until(SOUND)
        await talk.send(say("two ", "a", flush=True))
        await talk.until(SOUND)
        await talk.send(close("a"))
        await talk.until(FINAL)
        await talk.send(say("again ", "a", flush=True), close("a"))
        await talk.until(FINAL)


@book.exchange(engine={"word_times": True})
async def times_from_the_beginning(stage: Stage) -> None:
    async with stage.open(address("output_format=pcm_24000&sync_alignment=true")) as talk:
        await talk.send(say("one two ", "a", flush=True), close("a"))
        await talk.until(FINAL)


@book.exchange()
async def two_contexts_at_once(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        for name, text in (("a", "one two "), ("b b", "three ")):
            await talk.send(say(text, name, flush=True), close(name))
        await talk.apart("contextId", "a", "b b", last=FINAL)


@book.exchange()
async def a_context_without_a_name_and_one_in_the_other_spelling(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say("one ", flush=True), close())
        await talk.until(FINAL)
        await talk.send(frame({"text": "two ", "contextId": "a", "flush": True}), close("a"))
        await talk.until(FINAL)


@book.exchange()
async def what_is_closed_unflushed_is_given_up(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        with stage.silence():
            await talk.send(say("one two ", "a"))
            await stage.engine.opened.wait()
            await talk.send(close("a"))
            await talk.until(FINAL)
            await talk.send(say("one ", "b", flush=True), close("b"), close("b"))
            await talk.until(FINAL)
        await talk.send(say("", "c"), close("c"), say("one ", "d", flush=True), close("d"))
        await talk.until(FINAL)


@book.exchange()
async def the_socket_is_closed_when_all_is_said(stage: Stage) -> None:
    end = frame({"close_socket": True})
    async with stage.open(address()) as talk:
        await talk.send(say("one two ", "a", flush=True), end, say("late", "b"))
        await talk.closed()
    async with stage.open(address()) as talk:
        await talk.send(end)
        await talk.closed()


@book.exchange()
async def messages_that_cannot_be_used(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        for message in (
            "[]",
            frame({"text": 5, "context_id": "a"}),
            frame({"text": "one", "context_id": 7}),
            say("one", "c" * 257),
            say("one", "b", close_context="yes"),
            say("one", "c", voice_settings={"speed": 9}),
            say("one", "d", pronunciation_dictionary_locators=[{"id": "x"}]),
        ):
            await talk.send(message)
            await talk.read()
        await talk.send(say("late", "c"), close("c"), say("one ", "c", flush=True), close("c"))
        await talk.until(FINAL)
        await talk.send(say(" ", "d"), say("one ", "d", flush=True), close("d"))
        await talk.until(FINAL)
    for frames in ("{not json", b"\x00"):
        async with stage.open(address()) as talk:
            await talk.send(frames)
            await talk.closed()


@book.exchange()
async def an_engine_that_fails(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        for word in ("DIED", "BUSY", "FAILED", "BROKEN"):
            await talk.send(say(f"one {word} ", word))
            await talk.until(FINAL)


@book.exchange(max_tasks_per_connection=1, max_message_characters=10)
async def more_than_is_allowed(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say("one ", "a"))
        await talk.until(SOUND)
        await talk.send(say("one ", "b"))
        await talk.until(FINAL)
        await talk.send(say("o" * 11, "a"))
        await talk.until(FINAL)


@book.exchange()
async def text_that_does_not_come(stage: Stage) -> None:
    async with stage.open(address("output_format=pcm_24000&inactivity_timeout=1")) as talk:
        await talk.send(say("one ", "a"))
        await talk.until(FINAL)


@book.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    async with stage.open(address()) as talk:
        await talk.send(say("one ", "a"))
        await talk.until(SOUND)
        draining = asyncio.create_task(stage.server.drain())
        await asyncio.sleep(0)  # it has begun
        await talk.send(say("one ", "b"))
        await talk.until(FINAL)
        await talk.send(close("a"))
        await talk.closed()
        await draining
