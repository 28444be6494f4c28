"""Every format, sample rate and bit rate of the native WebSocket."""

from __future__ import annotations

import re

from ..book import Book
from ..sound import Sound
from ..stage import Stage
from ..talk import Talk
from .frames import SPEECH, finish, run_task

book = Book("websocket/formats")

FINISHED = "task-finished"
FORMATS = ("wav", "mp3", "pcm", "opus", "aac", "flac")
TELEPHONE = ("ulaw", "alaw", "wav_ulaw", "wav_alaw")
RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
BIT_RATES = ("16k", "32k", "48k", "64k", "128k", "192k", "256k", "320k", "384k")


@book.exchange()
async def every_format(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for name in FORMATS:
            talk.sound = Sound(name)
            await talk.send(run_task("t", output_format=name), finish("t", "one two"))
            await talk.until(FINISHED)
            talk.say_sound()


@book.exchange()
async def every_lossy_format_in_binary_frames(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for name in ("mp3", "opus"):
            talk.sound = Sound(name)
            await talk.send(
                run_task("t", output_format=name, audio_transport="binary"), finish("t", "one two")
            )
            await talk.until(FINISHED)
            talk.say_sound()


@book.exchange()
async def the_sound_of_telephones(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for name in TELEPHONE:
            talk.sound = Sound(name, 8000)
            await talk.send(run_task("t", output_format=name), finish("t", "one two"))
            await talk.until(FINISHED)
            talk.say_sound()
        await talk.send(run_task("t", output_format="ulaw", sample_rate=24000))
        await talk.until("task-failed")


@book.exchange()
async def every_sample_rate(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for rate in RATES:
            talk.sound = Sound("pcm", rate)
            await talk.send(run_task("t", sample_rate=rate), finish("t", "one two"))
            await talk.until(FINISHED)
            talk.say_sound()


@book.exchange()
async def a_louder_voice(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        talk.sound = Sound("pcm", exact=False)
        await talk.send(run_task("t", volume=2.5), finish("t", "one two"))
        await talk.until(FINISHED)
        talk.say_sound()


# Twice as many as run: a place is free a moment after the last event of its task.
@book.exchange(max_tasks_per_connection=2 * len(BIT_RATES))
async def the_bit_rates_that_are_really_used(stage: Stage) -> None:
    stage.say("the bit rate that is asked for, then the one that the events tell of")
    async with stage.open(SPEECH) as talk:
        for name, rates in (("mp3", RATES), ("opus", (8000, 48000)), ("aac", (8000, 24000, 48000))):
            for rate in rates:
                found = await _effective(talk, {"output_format": name, "sample_rate": rate})
                used = ", ".join(f"{asked} {found[asked]}" for asked in BIT_RATES)
                stage.say(f"{name} at {rate} Hz: {used}")


async def _effective(talk: Talk, parameters: dict[str, object]) -> dict[str, str]:
    """By the bit rate that is asked for, the one that the events of a task tell of."""
    for asked in BIT_RATES:
        await talk.socket.send(run_task(asked, **parameters, bit_rate=asked))
        await talk.socket.send(finish(asked, "one"))
    found, ended = {}, 0
    while ended < len(BIT_RATES):
        event = str(await talk.socket.recv())
        ended += FINISHED in event
        if told := re.search('"task_id":"(.*?)".*"bit_rate":"(.*?)"', event):
            found[told[1]] = told[2]
    return found
