import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.soak import (
    Idle,
    Mixed,
    Sample,
    growth,
    main,
    measure_idle,
    measure_tasks,
)
from cosyserve.clients import Client
from support.peers.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


async def test_idle_connections_are_opened_and_closed(server: ScriptedServer) -> None:
    idle = await measure_idle(server.url, None, os.getpid(), 5, settle=0.0)
    assert len(server.connections) == 5
    assert all(connection.socket.closed for connection in server.connections)
    assert idle.connections == 5
    assert min(idle.before_kib, idle.with_kib, idle.after_kib) > 1000


def test_memory_per_connection() -> None:
    assert Idle(10, before_kib=1000, with_kib=1250, after_kib=1100).each_kib == 25


async def test_tasks_are_run_and_memory_is_read(server: ScriptedServer) -> None:
    async with Client(server.url) as client:
        samples = await measure_tasks(client, "echo", "Yes.", os.getpid(), 45)
    assert [sample.tasks for sample in samples] == [*range(0, 46, 2), 45]
    assert len(server.connections) == 1
    assert len(server.commands) == 45 * 3
    assert all(sample.server_kib > 1000 for sample in samples)


def test_growth_leaves_the_first_quarter_out() -> None:
    steps = [(0, 100), (500, 900), (1000, 1000), (1500, 1005), (2000, 1010), (2500, 1015)]
    samples = [Sample(tasks, 0.0, kib, 0) for tasks, kib in steps]
    assert growth([*samples[1:], Sample(3000, 0.0, 1020, 0)]) == pytest.approx(10)
    assert growth(samples[:1]) is None
    assert growth([]) is None


def test_a_process_needs_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pid", "1"]) == 2
    assert "--url" in capsys.readouterr().err


def test_mixed_tasks_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--mixed", "60", "--voice", "alba", "--out", str(tmp_path)])
    output, errors = capsys.readouterr()
    assert code == 0, output + errors
    assert "at the end: cosyserve_tasks_running 0, cosyserve_connections 0" in output
    found = json.loads((tmp_path / "soak-mixed.json").read_text())
    assert sum(sum(counts.values()) for counts in found["outcomes"].values()) == 60
    assert found["samples"][-1]["tasks"] == 60
    assert found["remaining"].keys() >= {"cosyserve_tasks_running", "cosyserve_connections"}


@pytest.mark.parametrize(
    ("outcomes", "remaining", "clean"),
    [
        ({"finished": 5, "left": 1, "cancelled": 1}, 0, True),
        ({"finished": 5, "InternalError": 1}, 0, False),
        ({"finished": 5, "no end": 1}, 0, False),
        ({"finished": 5}, 1, False),
    ],
)
def test_a_mix_is_clean_if_no_task_failed_and_nothing_remains(
    outcomes: dict[str, int], remaining: int, clean: bool
) -> None:
    assert Mixed({"way": outcomes}, [], {"cosyserve_tasks_running": remaining}).clean is clean
