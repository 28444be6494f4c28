"""What becomes of vLLM's processes when the server is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.lm.vllm.plugin import end_with_the_server

PARENT = """
import multiprocessing, os, sys, time
from cosyserve.engine.cosyvoice.lm.vllm.plugin import end_with_the_server

def work(pipe):
    end_with_the_server()
    pipe.send(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    spawn.Process(target=work, args=(theirs,), name=sys.argv[1], daemon=True).start()
    print(ours.recv(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    return script


def start(parent: Path, name: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, str(parent), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_an_engine_core_ends_with_the_server(parent: Path) -> None:
    process, _ = start(parent, "EngineCore_DP0")
    process.kill()
    process.communicate(timeout=60)  # ends when the child has let go of the pipe, too


def test_other_processes_are_left_alone(parent: Path) -> None:
    process, child = start(parent, "Other")
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)  # it is still there
    process.communicate(timeout=60)


def test_this_process_has_no_server_above_it() -> None:
    assert multiprocessing.parent_process() is None
    assert end_with_the_server(lambda: pytest.fail("not here")) is None
