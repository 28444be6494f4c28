"""No test hangs the run: not in its body, and not in its teardown either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLLOWS = """
async def test_follows():
    pass
"""
BODY = """
import asyncio

async def test_hangs():
    await asyncio.Event().wait()
"""
DEAF = """
import asyncio

async def deaf():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def test_leaves_a_task_that_nothing_ends():
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    {end}
"""


DEAFS_TEST = "test_it.py::test_leaves_a_task_that_nothing_ends"
STACKS = "in run_until_complete"


def run(folder: Path, test: str, workers: int = 0) -> tuple[int, str]:
    """Run one file of tests with short limits: the exit status, and all that was printed."""
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\ntimeout = 2\nteardown_timeout = 2\n"
    )
    flags = ("-p", "conftest", "-p", "no:cacheprovider", "-q", "-n", str(workers))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_a_body_that_hangs_fails_and_the_next_test_runs(tmp_path: Path, workers: int) -> None:
    status, told = run(tmp_path, BODY + FOLLOWS, workers)
    assert status == 1
    assert "Timeout (>2.0s)" in told
    assert STACKS in told
    assert "1 failed, 1 passed" in told


@pytest.mark.parametrize("end", ["assert False", "pass"])
def test_a_teardown_that_hangs_ends_the_run_with_its_stacks(tmp_path: Path, end: str) -> None:
    status, told = run(tmp_path, DEAF.format(end=end))
    assert status == 1
    assert f"The teardown of {DEAFS_TEST} takes more than 2.0 s" in told
    assert STACKS in told


def test_a_teardown_that_hangs_in_a_worker_costs_no_other_test(tmp_path: Path) -> None:
    status, told = run(tmp_path, DEAF.format(end="pass") + FOLLOWS, workers=1)
    assert status == 1
    assert f"The teardown of {DEAFS_TEST} takes more than 2.0 s" in told
    assert STACKS in told
    assert f"crashed while running '{DEAFS_TEST}'" in told
    assert "1 failed, 2 passed" in told
