"""A real server process with the embedded voice, for all of these tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from support.peers.peers import Peer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--host", "127.0.0.1",
         "--token", "alice=alice-secret", "--references", str(tmp_path_factory.mktemp("clips")),
         "--wyoming", "tcp://127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        raise AssertionError(process.communicate()[1])
    wyoming = process.stdout.readline().split()[-1]
    yield SimpleNamespace(url=line.split()[-1], pid=process.pid, wyoming=wyoming)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


@pytest.fixture
async def peer(server: Any) -> AsyncIterator[Peer]:
    async with Peer.of(server, None) as peer:  # type: ignore[arg-type]
        yield peer
