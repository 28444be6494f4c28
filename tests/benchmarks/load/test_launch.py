import os
import subprocess
import sys
from pathlib import Path
from time import process_time

import pytest

from cosyserve.benchmarks.load.launch import (
    LaunchedServer,
    ServerDidNotStart,
    children,
    importable,
    launched_server,
    peak_kib,
    resident_kib,
    timed_server,
)
from cosyserve.benchmarks.load.timed_engine import VOICE
from cosyserve.clients import Client


async def test_a_server_runs_for_as_long_as_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_PORT", "no number")
    async with launched_server("--log-level", "error") as server:
        async with Client(server.url) as client:
            assert await client.voices()
        os.kill(server.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_a_server_that_ends_at_once_is_quoted() -> None:
    with pytest.raises(ServerDidNotStart, match="no-such-flag"):
        async with launched_server("--no-such-flag"):
            pass


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(ServerDidNotStart, match=r"within 0\.01 s"):
        async with launched_server(start_timeout=0.01):
            pass


async def test_a_timed_server_speaks_as_many_chunks_as_it_is_told() -> None:
    arguments = {"chunks": 4, "chunk_seconds": 0.1, "interval": 0.0, "max_tasks": 1}
    async with timed_server(**arguments) as server, Client(server.url) as client:  # type: ignore[arg-type]
        before = server.cpu_seconds
        sound = await client.synthesize("text", voice=VOICE)
        assert len(sound) == 4 * 2 * 2400
        assert server.cpu_seconds > before > 0
        assert server.started_in > 0
        assert server.memory_kib >= resident_kib(server.pid)


def test_cpu_time_is_that_of_the_process() -> None:
    this = LaunchedServer("", os.getpid(), 0.0, Path())
    before = process_time()
    assert before <= this.cpu_seconds <= process_time()
    with pytest.raises(OSError, match=r"."):
        _ = LaunchedServer("", 2**22 + 1, 0.0, Path()).cpu_seconds


def test_memory_of_this_process() -> None:
    assert 1000 < resident_kib(os.getpid()) <= peak_kib(os.getpid())
    assert os.getpid() in children(os.getppid())
    with pytest.raises(OSError, match=r"."):
        resident_kib(2**22 + 1)


@pytest.mark.parametrize("links", [False, True])
def test_the_packages_of_another_checkout_are_imported(tmp_path: Path, links: bool) -> None:
    for package, text in (("src/cosyserve", "HERE = 0"), ("server", "HERE = 1")):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text(text)
    if links:
        (tmp_path / "src/cosyserve/server").symlink_to(tmp_path / "server")
    with importable(tmp_path) as packages:
        found = subprocess.run(
            [sys.executable, "-c", "from cosyserve import HERE, server; print(HERE, server.HERE)"],
            env={"PYTHONPATH": str(packages)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert found.stdout == "0 1\n"


def test_another_folder_is_not_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a checkout"), importable(tmp_path):
        pass
