"""What the native WebSocket does not take, and every way in which a task fails."""

from __future__ import annotations

import asyncio
from typing import Any

from ..book import Book
from ..stage import BOB, Stage
from .frames import SPEECH, cancel, command, finish, frame, go_on, run_task

book = Book("websocket/refusals")

FAILED, FINISHED, STARTED = "task-failed", "task-finished", "task-started"
UNKNOWN_ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


A_SOUND = {"word": "a", "alphabet": "ipa", "sounds": "ʌ"}


@book.exchange()
async def every_parameter_out_of_its_range(stage: Stage) -> None:
    values: dict[str, tuple[Any, ...]] = {
        "mode": ("sing", None),
        "reference_audio_id": ("", "v" * 129, 7, None),
        "instruct": (5, "i" * 1001),
        "output_format": ("WAV", 3),
        "sample_rate": (11025, "11025", 24000.5, True),
        "bit_rate": ("100k", 192000),
        "volume": (0, 10.5, True),
        "speed": (0.4, 2.1, "fast"),
        "debug": ("yes",),
        "seed": (-1, 2**32, 1.5, "x"),
        "audio_transport": ("text", 1),
        "pitch": (0.4, 2.1, []),
        "enable_ssml": ("yes",),
        "word_timestamp_enabled": ({},),
        "pronunciations": ({}, [1], [{"word": "a"}], [A_SOUND], [A_SOUND] * 2, [A_SOUND] * 101),
        "mark_synthetic": ("yes",),
    }
    async with stage.open(SPEECH) as talk:
        for name, wrong in values.items():
            for value in wrong:
                await talk.send(run_task("t", **{name: value}))
                await talk.read()


@book.exchange()
async def parameters_that_do_not_go_together(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for parameters in (
            {"mode": "natural_language_replication"},
            {"mode": "natural_language_replication", "instruct": " \n"},
            {"output_format": "opus", "sample_rate": 44100},
            {"speed": 9, "volume": 0, "bit_rate": "x" * 100, "mode": "line\nbreak\x00"},
        ):
            await talk.send(run_task("t", **parameters))
            await talk.read()


@book.exchange()
async def messages_that_are_no_commands(stage: Stage) -> None:
    good = {"model": "cosyvoice-v2", "parameters": {"mode": "fast_replication"}}
    header = {"action": "run-task", "task_id": "t"}
    messages: tuple[Any, ...] = (
        [],
        1,
        None,
        "run-task",
        {},
        {"header": []},
        {"header": {}},
        {"header": {"action": 1, "task_id": "t"}},
        {"header": {"action": "pause-task", "task_id": "t"}},
        {"header": {"action": "run-task"}},
        {"header": {"action": "run-task", "task_id": 7}},
        {"header": {"action": "run-task", "task_id": ""}},
        {"header": {"action": "run-task", "task_id": "a b"}},
        {"header": {"action": "run-task", "task_id": "t" * 65}},
        {"header": {**header, "streaming": 1}},
        {"header": header},
        {"header": header, "payload": 1},
        {"header": header, "payload": {**good, "task_group": 1}},
        {"header": header, "payload": {**good, "task": 1}},
        {"header": header, "payload": {**good, "function": 1}},
        {"header": header, "payload": {}},
        {"header": header, "payload": {**good, "model": 1}},
        {"header": header, "payload": {"model": "cosyvoice-v2"}},
        {"header": header, "payload": {**good, "parameters": []}},
        {"header": header, "payload": good},
    )
    async with stage.open(SPEECH) as talk:
        for message in messages:
            await talk.send(frame(message))
            await talk.read()


@book.exchange()
async def inputs_that_are_none(stage: Stage) -> None:
    payloads: tuple[Any, ...] = (
        {},
        {"input": 1},
        {"input": {}},
        {"input": {"text": 7}},
        {"input": {"text": "one", "flush": "yes"}},
    )
    async with stage.open(SPEECH) as talk:
        for payload in payloads:
            await talk.send(run_task("t"))
            await talk.until(STARTED)
            await talk.send(command("continue-task", "t", **payload))
            await talk.read()
        await talk.send(run_task("t"))
        await talk.until(STARTED)
        await talk.send(finish("t", 7))  # type: ignore[arg-type]
        await talk.read()
        await talk.send(run_task("t"))
        await talk.until(STARTED)
        await talk.send(frame({"header": {"action": "cancel-task", "task_id": "t"}, "payload": 1}))
        await talk.read()


@book.exchange()
async def models_and_voices_that_are_not_there(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    async with stage.open(SPEECH) as talk:
        await talk.send(command("run-task", "t", model="cosyvoice-v1", parameters={}))
        await talk.read()
        for voice in (UNKNOWN_ID, "nobody", "../../etc/passwd", "longxiaochun"):
            await talk.send(run_task("t", reference_audio_id=voice))
            await talk.read()
    async with stage.open(SPEECH, BOB) as talk:
        for voice in (reference_id, "Anna"):
            await talk.send(run_task("t", reference_audio_id=voice))
            await talk.read()


@book.exchange()
async def a_refused_run_task_takes_its_text_with_it(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", speed=9), go_on("t", "lost"), finish("t"), cancel("t"))
        await talk.read()
        await talk.send(run_task("t"), finish("t", "one"))
        await talk.until(FINISHED)


@book.exchange()
async def commands_in_the_wrong_state(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for message in (go_on("t", "one"), finish("t"), cancel("t")):
            await talk.send(message)
            await talk.read()
        await talk.send(run_task("t"))
        await talk.until(STARTED)
        await talk.send(run_task("t"))
        await talk.read()
        await talk.send(run_task("t", speed=9))
        await talk.read()
        await talk.send(finish("t", "one"))
        await talk.until(FINISHED)
        for message in (go_on("t", "two"), finish("t")):
            await talk.send(message)
            await talk.read()
        await talk.send(cancel("t"))
        for message in (go_on("u", "two"), finish("u")):
            with stage.silence():
                await talk.send(run_task("u"))
                await talk.until(STARTED)
                await talk.send(finish("u", "one"), message)
                await talk.until(FAILED)


@book.exchange(max_message_characters=10, max_task_characters=15)
async def more_text_than_is_allowed(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for messages in (
            (go_on("t", "o" * 11),),
            (finish("t", "o" * 11),),
            (go_on("t", "o" * 10), go_on("t", "o" * 6)),
        ):
            await talk.send(run_task("t"))
            await talk.until(STARTED)
            await talk.send(*messages)
            await talk.until(FAILED)
        asked = {"mode": "fast_replication", "reference_audio_id": "plain"}
        text = {"text": "o" * 11}
        await talk.send(
            command("run-task", "t", model="cosyvoice-v2", parameters=asked, input=text)
        )
        await talk.until(FAILED)


@book.exchange(max_tasks_per_connection=1, max_tasks_per_token=2, max_tasks=3)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    async with (
        stage.open(SPEECH, name="a") as first,
        stage.open(SPEECH, name="b") as second,
        stage.open(SPEECH, name="c") as third,
        stage.open(SPEECH, BOB, name="d") as fourth,
        stage.open(SPEECH, BOB, name="e") as fifth,
    ):
        await first.send(run_task("t"))
        await first.until(STARTED)
        await first.send(run_task("u"))
        await first.read()
        await second.send(run_task("t"))
        await second.until(STARTED)
        await third.send(run_task("t"))
        await third.read()
        await fourth.send(run_task("t"))
        await fourth.until(STARTED)
        await fifth.send(run_task("t"))
        await fifth.read()


@book.exchange(max_tasks=1, preempt_after=0)
async def a_place_that_another_task_takes(stage: Stage) -> None:
    async with (
        stage.open(SPEECH, name="a") as first,
        stage.open(SPEECH, BOB, name="b") as second,
    ):
        await first.send(run_task("t"))
        await first.until(STARTED)
        await second.send(run_task("u"), finish("u", "one"))
        await second.until(FINISHED)
        await first.until(FAILED)


@book.exchange(daily_characters=8)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), finish("t", "one"))
        await talk.until(FINISHED)
        await talk.send(run_task("u"))
        await talk.until(STARTED)
        await talk.send(finish("u", "one two"))
        await talk.until(FAILED)


@book.exchange(idle_text_timeout=1.0)
async def text_that_does_not_come(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"))
        await talk.until(FAILED)
        await talk.send(go_on("t", "late"))
        await talk.send(run_task("t"), finish("t", "one"))
        await talk.until(FINISHED)


@book.exchange()
async def an_engine_that_fails(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for word in ("DIED", "BUSY", "FAILED", "BROKEN", "NOT-READY", "UNSUPPORTED"):
            await talk.send(run_task("t"), finish("t", f"one {word} two"))
            await talk.until(FAILED)
        for instruct in ("UNSUPPORTED", "BUSY"):
            await talk.send(run_task("t", instruct=instruct))
            await talk.until(FAILED)
        await stage.engine.stop()
        await talk.send(run_task("t"))
        await talk.until(FAILED)


@book.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", reference_audio_id=reference_id))
        await talk.until(FAILED)


@book.exchange()
async def ssml_that_makes_no_sense(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for text in (
            "<speak>one</p>",
            "<speak>one",
            "<p>one</p>",
            "<speak><voice>one</voice></speak>",
            "<speak><break time='11s'/></speak>",
            "<speak><prosody rate='quick'>one</prosody></speak>",
            "<speak><say-as interpret-as='song'>one</say-as></speak>",
            "<speak><phoneme alphabet='morse' ph='.'>one</phoneme></speak>",
            "<speak><mark/></speak>",
            "<!DOCTYPE speak><speak>one</speak>",
        ):
            await talk.send(run_task("t", enable_ssml=True), finish("t", text))
            await talk.until(FAILED)


@book.exchange()
async def a_failed_task_leaves_the_others_alone(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("a"))
        await talk.until(STARTED)
        await talk.send(run_task("b"))
        await talk.until(STARTED)
        await talk.send(command("continue-task", "a", input={"text": 7}))
        await talk.until(FAILED)
        await talk.send(go_on("a", "late"), finish("b", "one"))
        await talk.until(FINISHED)


@book.exchange(drain_grace=30)
async def a_server_that_shuts_down(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"))
        await talk.until(STARTED)
        draining = asyncio.create_task(stage.server.drain())
        await asyncio.sleep(0)  # it has begun
        await talk.send(run_task("u"))
        await talk.until(FAILED)
        await talk.send(finish("t", "one"))
        await talk.until(FINISHED)
        await talk.closed()
        await draining
