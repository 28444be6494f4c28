"""What the DashScope dialect does not take: each time the connection closes."""

from __future__ import annotations

import asyncio
from typing import Any

from ..book import Book
from ..stage import BOB, Stage
from .frames import INFERENCE, command, finish, frame, go_on, run_hosted

book = Book("dashscope/refusals")

FAILED, FINISHED, STARTED = "task-failed", "task-finished", "task-started"


async def _refused(stage: Stage, *messages: str) -> None:
    """The last of these messages is refused; the ones before each begin a task."""
    async with stage.open(INFERENCE) as talk:
        for message in messages[:-1]:
            await talk.send(message)
            await talk.until(STARTED)
        await talk.send(messages[-1])
        await talk.closed()


@book.exchange()
async def every_parameter_out_of_its_range(stage: Stage) -> None:
    for parameters in (
        {"voice": None},
        {"voice": 7},
        {"voice": "v" * 129},
        {"format": "ogg"},
        {"sample_rate": 11025},
        {"format": "opus", "bit_rate": 5},
        {"format": "opus", "bit_rate": 511000},
        {"volume": 101},
        {"rate": 3},
        {"pitch": 0.4},
        {"seed": 65536},
        {"instruction": 5},
        {"instruction": "i" * 1001},
        {"text_type": "Markdown"},
        {"enable_ssml": "yes"},
        {"word_timestamp_enabled": 1},
        {"hot_fix": {"pronunciation": [{"a": "b"}]}},
        {"hot_fix": {"replace": [{"": "b"}]}},
    ):
        await _refused(stage, run_hosted("t", **parameters))


@book.exchange()
async def messages_that_are_no_commands(stage: Stage) -> None:
    header = {"action": "run-task", "task_id": "t"}
    messages: tuple[Any, ...] = (
        [],
        {},
        {"header": {}},
        {"header": {"action": 1, "task_id": "t"}},
        {"header": {"action": "cancel-task", "task_id": "t"}},
        {"header": {"action": "run-task", "task_id": "a b"}},
        {"header": header},
        {"header": header, "payload": 1},
        {"header": header, "payload": {"model": "gpt-4"}},
        {"header": header, "payload": {"model": "cosyvoice-v2"}},
        {"header": header, "payload": {"model": "cosyvoice-v2", "parameters": 1}},
        {"header": header, "payload": {"model": "cosyvoice-v2", "input": 1}},
    )
    for message in messages:
        await _refused(stage, frame(message))


@book.exchange()
async def messages_that_end_the_task_they_are_for(stage: Stage) -> None:
    for message in (
        command("continue-task", "t", input={}),
        command("continue-task", "t", input={"text": 7}),
        command("continue-task", "t", input={"flush": "yes"}),
        command("finish-task", "t", input={"directive": "pause"}),
        command("pause-task", "u"),
        run_hosted("t", rate=9),
        run_hosted("u", rate=9),
    ):
        await _refused(stage, run_hosted("t"), message)


@book.exchange()
async def commands_in_the_wrong_state(stage: Stage) -> None:
    for message in (go_on("t", "one"), finish("t")):
        await _refused(stage, message)
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"), finish("t"))
        await talk.until(FINISHED)
        await talk.send(go_on("t", "late"))
        await talk.closed()
    async with stage.open(INFERENCE) as talk:
        with stage.silence():
            await talk.send(run_hosted("t"))
            await talk.until(STARTED)
            await talk.send(finish("t", "one"), finish("t"))
            await talk.closed()


@book.exchange()
async def voices_that_are_not_there(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    await _refused(stage, run_hosted("t", voice="nobody"))
    async with stage.open(INFERENCE, BOB) as talk:
        await talk.send(run_hosted("t", voice=reference_id))
        await talk.closed()


@book.exchange(engine={"voices": False})
async def hosted_voices_of_an_engine_without_any(stage: Stage) -> None:
    await _refused(stage, run_hosted("t", voice="longxiaochun"))


@book.exchange()
async def what_follows_a_failure_is_not_begun(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t", rate=9), run_hosted("u"), finish("u", "one"))
        await talk.closed()


@book.exchange(max_message_characters=10, max_task_characters=15)
async def more_text_than_is_allowed(stage: Stage) -> None:
    await _refused(stage, run_hosted("t"), finish("t", "o" * 11))
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"))
        await talk.until(STARTED)
        await talk.send(go_on("t", "o" * 10), go_on("t", "o" * 6))
        await talk.closed()


@book.exchange(max_tasks_per_token=1)
async def more_tasks_than_are_allowed(stage: Stage) -> None:
    async with (
        stage.open(INFERENCE, name="a") as first,
        stage.open(INFERENCE, name="b") as second,
    ):
        await first.send(run_hosted("t"))
        await first.until(STARTED)
        await second.send(run_hosted("u"))
        await second.closed()


@book.exchange(max_tasks=1, preempt_after=0)
async def a_place_that_another_task_takes(stage: Stage) -> None:
    async with (
        stage.open(INFERENCE, name="a") as first,
        stage.open(INFERENCE, name="b") as second,
    ):
        await first.send(run_hosted("t"))
        await first.until(STARTED)
        await second.send(run_hosted("u"))
        await second.until(STARTED)
        await first.closed()


@book.exchange(daily_seconds=1)
async def more_in_a_day_than_is_allowed(stage: Stage) -> None:
    stage.server.services.quotas.add("alice", seconds=1.0)
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"))
        await talk.closed()


@book.exchange(dashscope_text_timeout=1.0)
async def text_that_does_not_come(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"))
        await talk.closed()


@book.exchange(dashscope_idle_timeout=0.2)
async def a_pause_between_two_tasks(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"), finish("t"))
        await talk.closed()


@book.exchange()
async def an_engine_that_fails(stage: Stage) -> None:
    for word in ("DIED", "BUSY", "FAILED", "BROKEN"):
        async with stage.open(INFERENCE) as talk:
            await talk.send(run_hosted("t"))
            await talk.until(STARTED)
            await talk.send(finish("t", f"one. {word}"))
            await talk.closed()
    for instruction in ("UNSUPPORTED", "NOT-READY"):
        await _refused(stage, run_hosted("t", instruction=instruction))


@book.exchange()
async def a_clip_that_is_no_voice_any_more(stage: Stage) -> None:
    reference_id = await stage.useless_voice()
    await _refused(stage, run_hosted("t", voice=reference_id))


@book.exchange()
async def ssml_that_makes_no_sense(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t", enable_ssml=True))
        await talk.until(STARTED)
        await talk.send(finish("t", "<speak>one</p>"))
        await talk.closed()


@book.exchange(max_message_bytes=1024)
async def frames_that_cannot_be_understood(stage: Stage) -> None:
    for message in ("{not json", b"\x00", "x" * 1025):
        async with stage.open(INFERENCE) as talk:
            await talk.send(message)
            await talk.closed()


@book.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    async with (
        stage.open(INFERENCE, name="a") as first,
        stage.open(INFERENCE, name="b") as second,
    ):
        await first.send(run_hosted("t"))
        await first.until(STARTED)
        draining = asyncio.create_task(stage.server.drain())
        await asyncio.sleep(0)  # it has begun
        await second.send(run_hosted("u"))
        await second.closed()
        await first.send(finish("t", "one"))
        await first.closed()
        await draining
