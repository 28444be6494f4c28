"""DashScope's realtime WebSocket."""

from __future__ import annotations

from typing import Any

from ..book import Book
from ..sound import Sound
from ..stage import NOBODY, Stage
from .frames import frame

book = Book("dashscope_realtime/sessions")

PATH = "/api-ws/v1/realtime?model=qwen3-tts-flash-realtime"
DONE, FINISHED = '"response.done"', '"session.finished"'
COMMIT, CLEAR = (frame({"type": f"input_text_buffer.{kind}"}) for kind in ("commit", "clear"))
CANCEL, FINISH = frame({"type": "response.cancel"}), frame({"type": "session.finish"})


def update(**fields: Any) -> str:
    asked = {"voice": "plain", "mode": "commit", "response_format": "pcm", "sample_rate": 24000}
    return frame({"type": "session.update", "session": {**asked, **fields}})


def append(text: Any) -> str:
    return frame({"type": "input_text_buffer.append", "text": text})


@book.exchange(dashscope_realtime_pause=3600)
async def text_that_is_spoken_while_it_comes(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(update(mode="server_commit"), append("one "))
        await talk.until('"response.audio.delta"')
        await talk.send(append("two "))
        await talk.read()
        await talk.send(COMMIT)
        await talk.until(DONE)
        talk.say_sound()
        await talk.send(FINISH)
        await talk.closed()


@book.exchange(dashscope_realtime_pause=0.02)
async def text_that_ends_with_the_clients_silence(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        with stage.silence():
            await talk.send(update(mode="server_commit"), append("one two "))
            await talk.until('"session.updated"')
        await talk.until(DONE)


@book.exchange()
async def turns_that_the_client_commits(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(update(), append("one "), append("two "), COMMIT)
        await talk.until(DONE)
        await talk.send(append("not this "), CLEAR, append("three "), FINISH)
        await talk.until(FINISHED)
        await talk.closed()


@book.exchange()
async def a_response_that_is_cancelled(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        with stage.silence():
            await talk.send(update(), append("one two three "), COMMIT)
            await talk.until('"response.content_part.added"')
            await talk.send(CANCEL)
            await talk.until(DONE)


@book.exchange()
async def every_format(stage: Stage) -> None:
    for name in ("wav", "mp3", "opus"):
        async with stage.open(PATH, sound=Sound(name)) as talk:
            with stage.silence():
                await talk.send(update(response_format=name), append("one two "), COMMIT)
                await talk.until('"response.content_part.added"')
            await talk.until(DONE)
            talk.say_sound()


@book.exchange()
async def messages_that_cannot_be_used(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(update())
        await talk.read(2)
        for message in (
            "[]",
            frame({"type": "hello"}),
            frame({"type": "input_text_buffer.append"}),
            append(5),
            COMMIT,
            update(response_format="flac"),
            update(sample_rate=7),
            update(speech_rate=9),
            update(pitch_rate="high"),
            update(volume=-1),
            update(bit_rate=1),
            update(mode="both"),
            update(voice="x" * 129),
            update(instructions="x" * 1001),
        ):
            await talk.send(message)
            await talk.read()


@book.exchange()
async def a_response_that_fails_and_the_next_one(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(update(voice="nobody"), append("one "), COMMIT)
        await talk.until(DONE)
        await talk.send(update(), append("two "), COMMIT, append("three "))
        await talk.until(DONE)
        await talk.send(update(mode="server_commit"))
        await talk.until('"InvalidState"')


@book.exchange(daily_characters=5)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    async with stage.open(PATH) as talk:
        await talk.send(update(), append("one two "), COMMIT)
        await talk.until(DONE)


@book.exchange()
async def models_that_are_not_here(stage: Stage) -> None:
    await stage.refused("/api-ws/v1/realtime")
    await stage.refused("/api-ws/v1/realtime?model=qwen-omni-turbo-realtime")


@book.exchange()
async def nobody_without_a_token(stage: Stage) -> None:
    await stage.refused(PATH, NOBODY)
