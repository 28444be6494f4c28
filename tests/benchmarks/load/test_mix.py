"""Every way to ask for speech, against a server that keeps no task waiting."""

from __future__ import annotations

from pathlib import Path

from cosyserve.benchmarks.load.mix import EXPECTED, FINISHED, run_mix
from cosyserve.server.app import serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine

TASKS = 300


async def test_tasks_of_all_kinds_end_as_they_should(tmp_path: Path) -> None:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    flags = {"port": 0, "host": "127.0.0.1", "references": str(tmp_path)}
    async with serve(load_settings(flags), FakeEngine()) as server:
        outcomes = await run_mix(server.url, "", "plain", TASKS, 4, count)
    assert done == sum(counts.total() for counts in outcomes.values()) == TASKS
    assert all(counts[FINISHED] for counts in outcomes.values())
    assert {outcome for counts in outcomes.values() for outcome in counts} <= EXPECTED


async def test_a_refused_task_is_an_outcome(tmp_path: Path) -> None:
    flags = {"port": 0, "host": "127.0.0.1", "references": str(tmp_path), "tokens": ("secret-a",)}
    async with serve(load_settings(flags), FakeEngine()) as server:
        outcomes = await run_mix(server.url, "wrong-secret", "plain", 40, 4, lambda: None)
    assert {outcome for counts in outcomes.values() for outcome in counts} <= {"401", "left"}
