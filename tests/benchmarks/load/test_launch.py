import os

import pytest

from cosyserve.benchmarks.load.launch import ServerDidNotStart, launched_server
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
