import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cosyserve.benchmarks.load.generator import default_processes, run_load
from cosyserve.benchmarks.load.streams import LoadPlan, run_streams
from cosyserve.protocol.messages import ContinueTask, RunTask
from support.peers.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
def plan(server: ScriptedServer) -> LoadPlan:
    return LoadPlan(server.url, "echo", ("One two.", "Three four."), tasks=3, warmup=1)


async def at_once() -> None: ...


async def test_every_stream_runs_its_tasks_on_its_connection(
    plan: LoadPlan, server: ScriptedServer
) -> None:
    asked = []

    async def ready() -> None:
        asked.append(len(server.connections))

    records = await run_streams(plan, [4, 7], ready)
    assert asked == [2]  # once, with both connected
    assert [record.stream for record in records] == [4, 4, 4, 7, 7, 7]
    assert len(server.connections) == 2
    assert sum(isinstance(command, RunTask) for command in server.commands) == 2 * (3 + 1)
    for record in records:
        assert record.error == ""
        assert record.run_at <= record.first_text_at == record.last_text_at < record.arrivals[0]
        assert record.lengths == [0.1]
        assert record.audio_bytes in (8, 11)


async def test_text_comes_at_its_pace(plan: LoadPlan) -> None:
    plan = replace(plan, tokens_per_second=50.0, tasks=1, warmup=0, texts=("a b c d e f",))
    (record,) = await run_streams(plan, [0], at_once)
    assert record.last_text_at - record.first_text_at >= 5 / 50 - 0.005
    assert len(record.arrivals) == 6
    assert record.audio_bytes == len("a b c d e f")


async def test_paced_streams_wait_for_their_speech(plan: LoadPlan) -> None:
    plan = replace(plan, paced=True, pause=0.02, warmup=0, tasks=2)
    first, second = await run_streams(plan, [0], at_once)
    played = first.arrivals[0] + sum(first.lengths)
    assert second.run_at >= played + 0.01 - 0.005


async def test_no_text_before_the_start_if_asked(plan: LoadPlan) -> None:
    (record,) = await run_streams(replace(plan, tasks=1, await_start=True), [0], at_once)
    assert record.error == ""


@pytest.mark.parametrize(
    ("voice", "error"),
    [
        ("unknown", "ReferenceAudioNotFound"),
        ("drop", "ConnectionLost"),
        ("garbage", "UnexpectedMessage"),
        ("mute", "took too long"),
    ],
)
async def test_failures_are_counted_not_raised(plan: LoadPlan, voice: str, error: str) -> None:
    plan = replace(plan, voice=voice, task_timeout=0.2, tasks=2, warmup=0)
    records = await run_streams(plan, [0], at_once)
    assert [record.error for record in records] == [error, error]


async def test_no_server_fails_every_task(plan: LoadPlan) -> None:
    plan = replace(plan, url="http://127.0.0.1:1")
    records = await run_streams(plan, [0, 1], at_once)
    assert [record.error for record in records] == ["ConnectionFailed"] * 6


@pytest.mark.parametrize("processes", [1, 2])
async def test_processes_share_the_streams(
    plan: LoadPlan, server: ScriptedServer, processes: int
) -> None:
    result = await asyncio.to_thread(run_load, plan, 3, processes)
    assert result.processes == processes
    assert sorted(record.stream for record in result.records) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(record.error == "" for record in result.records)
    assert result.seconds > 0
    assert result.busiest > 0
    assert sum(isinstance(command, ContinueTask) for command in server.commands) == 3 * (3 + 1)


def test_processes_by_streams() -> None:
    assert default_processes(1) == 1
    assert default_processes(64) == 1
    assert 1 <= default_processes(1000) <= 16


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(LoadPlan("http://h", "v", (), token="secret"))
