"""No test hangs the run: not in its body, and not in its teardown either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BODY = """
import asyncio

async def test_hangs():
    await asyncio.Event().wait()

async def test_follows():
    pass
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


def run(folder: Path, test: str) -> tuple[int, str]:
    """Run one file of tests with short limits: the exit status, and all that was printed."""
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\ntimeout = 2\nteardown_timeout = 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-q", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_body_that_hangs_fails_and_the_next_test_runs(tmp_path: Path) -> None:
    status, told = run(tmp_path, BODY)
    assert status == 1
    assert "Timeout (>2.0s)" in told
    assert "1 failed, 1 passed" in told


@pytest.mark.parametrize("end", ["assert False", "pass"])
def test_a_teardown_that_hangs_ends_the_run_with_its_stacks(tmp_path: Path, end: str) -> None:
    status, told = run(tmp_path, DEAF.format(end=end))
    assert status == 1
    assert "Stack of MainThread" in told
    assert "run_until_complete" in told
