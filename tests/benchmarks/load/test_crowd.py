"""A crowd that asks for speech at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load import crowd, listener
from cosyserve.benchmarks.load.crowd import HEAD, Crowd, ask, row
from cosyserve.benchmarks.load.launch import launched_server
from cosyserve.benchmarks.load.listener import RATE, BareListener, connected

SECRET = "secret-of-token-0"


@pytest.fixture(autouse=True)
def _one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "TEXT", "One.")


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crowd.main(["--streams=3", "--rounds=1", f"--out={tmp_path}"]) == 0
    written = json.loads((tmp_path / "crowd.json").read_text())
    assert written["capacity"] == 3
    (found,) = written["crowds"]
    assert (found["streams"], found["taken"], found["failed"]) == (3, 3, 0)
    assert found["memory_mib"] > 10
    table = capsys.readouterr().out
    assert "this machine carries 3 streams at once" in table


async def test_who_is_refused_says_when_to_ask_again() -> None:
    flags = (*(f"--token=t{n}=secret-of-token-{n}" for n in range(8)), "--max-tasks=1")
    async with launched_server(*flags, "--log-level=warning") as server:
        found = await crowd.crowd(server, "alba", 2)
        listeners = await ask(server, "alba", 3)
    assert (found.taken, found.failed, found.retried, found.retaken) == (1, 0, 1, 1)
    assert found.refused_after is not None
    assert found.refused_after.count == 1
    assert found.refused_soon is not None
    assert sorted(each.error for each in listeners) == ["", "Throttled", "Throttled"]
    assert {each.retry_after for each in listeners} == {None, 1}


async def test_a_connection_that_closes_is_told_from_a_task_that_ended() -> None:
    async with launched_server(f"--token=t={SECRET}", "--log-level=warning") as server:
        waiting = await connected(server.url, SECRET)
        with pytest.raises(ConnectionError, match="401"):
            await connected(server.url, "another-secret")
    await waiting.over.wait()
    assert (waiting.finished, waiting.error) == (False, "closed")


@pytest.mark.parametrize(("late", "continuous"), [(0.09, True), (0.11, False)])
async def test_a_listener_hears_a_gap(
    late: float, continuous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = b"\x82\x7f" + (2 * RATE).to_bytes(8, "big") + bytes(2 * RATE)
    end = b'{"header":{"event":"task-finished"}}'
    now = 5.0
    monkeypatch.setattr(listener, "perf_counter", lambda: now)
    hearing = BareListener()
    hearing.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + second[:1000])
    hearing.data_received(second[1000:])
    now += 1 + late
    hearing.data_received(second + b"\x81" + bytes([len(end)]) + end)
    assert (hearing.finished, hearing.continuous) == (True, continuous)
    assert hearing.first_sound == 5.0


def test_a_row_fits_its_head() -> None:
    nobody = Crowd(1000, 0, 0.0, 0, 1.0, None, None, None, 0, 0, 0.1, 100.0)
    assert len(row(nobody, 250)) == len(HEAD)
