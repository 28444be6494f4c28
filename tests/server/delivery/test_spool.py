"""Spools: what they hold, where, and for whom."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.errors import InternalError, Throttled
from cosyserve.server.delivery import Spool, Spools
from cosyserve.server.delivery.spool import MEMORY_EACH
from cosyserve.server.settings import load_settings
from cosyserve.server.startup.parts import started_spools


@dataclass
class Limits:
    spool_bytes: int = 4 * MEMORY_EACH
    spool_bytes_per_token: int = 3 * MEMORY_EACH
    spool_wait: float = 0.0
    max_whole_bytes: int = 2 * MEMORY_EACH


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    spools = Spools(tmp_path, Limits())
    spools.start()
    yield spools
    assert (spools.open_now, spools.size, spools.size_in_memory) == (0, 0, 0)
    spools.stop()


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@pytest.mark.parametrize("step", [1000, 5000, MEMORY_EACH, MEMORY_EACH + 1])
async def test_what_was_written_is_read_wherever_it_is(spools: Spools, step: int) -> None:
    data = pattern(MEMORY_EACH + 10_000)
    with spools.open("alice") as spool:
        for begin in range(0, len(data), step):
            await spool.write(data[begin : begin + step])
            assert await spool.read(0, 3) == data[:3]
        await spool.overwrite(b"head")
        assert (spool.size, spools.size) == (len(data), len(data))
        assert await spool.read(0, spool.size) == b"head" + data[4:]
        assert await spool.read(spool.size - 5, spool.size) == data[-5:]


async def test_small_ones_are_in_memory_and_large_ones_are_not(spools: Spools) -> None:
    with spools.open("alice") as small, spools.open("alice") as large:
        await small.write(pattern(MEMORY_EACH))
        await large.write(pattern(MEMORY_EACH))
        assert spools.size_in_memory == 2 * MEMORY_EACH
        await large.write(b"x")
        assert spools.size_in_memory == MEMORY_EACH


async def test_all_together_have_little_memory(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosyserve.server.delivery.spool.MEMORY_ALL", 1500)
    with spools.open("alice") as first, spools.open("alice") as second:
        await first.write(pattern(1000))
        await second.write(pattern(1000))
        assert spools.size_in_memory == 1000
        await second.write(pattern(1000))
        assert await second.read(990, 1010) == pattern(1000)[-10:] + pattern(10)


async def test_no_file_has_a_name(spools: Spools, tmp_path: Path) -> None:
    with spools.open("alice") as spool:
        await spool.write(pattern(MEMORY_EACH + 1))
        assert spools.size_in_memory == 0
        assert os.listdir(tmp_path) == []


async def test_a_token_has_its_share_and_all_have_theirs(spools: Spools) -> None:
    with spools.open("alice") as alice, spools.open("bob") as bob:
        await alice.write(pattern(3 * MEMORY_EACH))
        with pytest.raises(Throttled, match=f"of this token may have {3 * MEMORY_EACH} bytes"):
            await alice.write(b"x")
        await bob.write(pattern(MEMORY_EACH))
        with pytest.raises(Throttled, match=f"of all tokens may have {4 * MEMORY_EACH} bytes"):
            await bob.write(b"x")
        alice.close()
        await bob.write(pattern(2 * MEMORY_EACH))


@pytest.mark.parametrize("owners", ["aaaaaa", "abcabc"])
async def test_answers_that_grow_side_by_side_are_all_made(tmp_path: Path, owners: str) -> None:
    spools = Spools(tmp_path, Limits(spool_wait=600, spool_bytes_per_token=4 * MEMORY_EACH))
    made: list[Spool] = []

    async def make(owner: str) -> None:
        with spools.open(owner) as spool:
            while spool.size < 2 * MEMORY_EACH:
                await spool.write(pattern(MEMORY_EACH // 4))
                assert spools.size <= 4 * MEMORY_EACH
            spool.made()
            made.append(spool)
            await asyncio.sleep(0)

    await asyncio.gather(*map(make, owners))
    assert len(made) == len(owners)
    assert spools.size == 0
    spools.stop()


async def test_the_oldest_finds_room_and_the_next_when_it_is_made(tmp_path: Path) -> None:
    spools = Spools(tmp_path, Limits(spool_wait=600, spool_bytes_per_token=4 * MEMORY_EACH))
    with spools.open("a") as oldest, spools.open("a") as second, spools.open("a") as third:
        await second.write(pattern(MEMORY_EACH))
        await third.write(pattern(MEMORY_EACH))
        last, next_one = (asyncio.create_task(each.write(b"x")) for each in (third, second))
        await asyncio.sleep(0)
        await oldest.write(pattern(MEMORY_EACH))
        assert not next_one.done()
        oldest.made()
        await next_one
        assert not last.done()
        second.made()
        await last
    spools.stop()


async def test_room_is_awaited_for_a_time_only(tmp_path: Path) -> None:
    spools = Spools(tmp_path, Limits(spool_wait=0.01))
    with spools.open("a") as sent, spools.open("a") as growing:
        await sent.write(pattern(2 * MEMORY_EACH))
        sent.made()
        await growing.write(pattern(MEMORY_EACH))
        with pytest.raises(Throttled, match="of this token"):
            await growing.write(b"x")
        sent.close()
        await growing.write(b"x")
    spools.stop()


async def test_who_leaves_while_waiting_for_room_leaves_nothing(spools: Spools) -> None:
    spools._limits.spool_wait = 600  # type: ignore[misc]
    with spools.open("a") as sent, spools.open("a") as growing:
        await sent.write(pattern(3 * MEMORY_EACH))
        waiting = asyncio.create_task(growing.write(b"x"))
        await asyncio.sleep(0)
        assert spools.waiting == 1
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (spools.waiting, spools.size) == (0, 3 * MEMORY_EACH)


async def test_files_are_few(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosyserve.server.delivery.spool.MEMORY_ALL", 0)
    monkeypatch.setattr("cosyserve.server.delivery.spool.FILES_ALL", 3)
    monkeypatch.setattr("cosyserve.server.delivery.spool.FILES_EACH_TOKEN", 2)
    with ExitStack() as stack:
        alice = [stack.enter_context(spools.open("alice")) for _ in range(3)]
        bob = [stack.enter_context(spools.open("bob")) for _ in range(2)]
        for spool in (*alice[:2], bob[0]):
            await spool.write(b"x")
            await spool.write(b"y")
        with pytest.raises(Throttled, match="of this token may have 2 files"):
            await alice[2].write(b"x")
        with pytest.raises(Throttled, match="of all tokens may have 3 files"):
            await bob[1].write(b"x")
        alice[0].close()
        await bob[1].write(b"x")


async def test_a_cancelled_write_is_over_before_its_file_is_closed(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    writing, goes_on, closed = asyncio.Event(), threading.Event(), asyncio.Event()
    order: list[str] = []
    put, close = Spool._put, Spool._close

    def slow_put(spool: Spool, *arguments: Any) -> None:
        loop.call_soon_threadsafe(writing.set)
        goes_on.wait(30)
        put(spool, *arguments)
        order.append("written")

    def seen_close(spool: Spool) -> None:
        close(spool)
        order.append("closed")
        loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(Spool, "_put", slow_put)
    monkeypatch.setattr(Spool, "_close", seen_close)
    with spools.open("alice") as spool:
        task = asyncio.create_task(spool.write(pattern(MEMORY_EACH + 1)))
        await writing.wait()
        task.cancel()
        await asyncio.wait({task})
    assert spools.size == 0
    goes_on.set()
    await closed.wait()
    assert order == ["written", "closed"]


async def test_a_file_that_fails_is_told_and_logged(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with capture_logs() as lines, spools.open("alice") as spool:
        with pytest.raises(InternalError, match="ask for a stream instead"):
            await spool.write(pattern(MEMORY_EACH + 1))
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("spool_failed", "error")
    assert "No space left on device" in line["reason"]


def test_a_start_removes_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    old, new, other = (
        tmp_path / name for name in ("cosyserve-spool-a", "cosyserve-spool-b", "other")
    )
    long_ago = time.time() - 3600
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (long_ago, long_ago))
    spools = Spools(tmp_path, Limits())
    spools.start()
    spools.stop()
    assert sorted(tmp_path.iterdir()) == [new, other]


def test_the_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    started_spools(load_settings({"spool_folder": str(folder)})).stop()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_usable_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match=r"^spool_folder: .*file' is not usable; .*allowed: a folder"):
        started_spools(load_settings({"spool_folder": str(file)}))


def test_a_system_without_a_temporary_folder_is_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with capture_logs() as lines:
        started_spools(load_settings({})).stop()
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["notice"].startswith("spool_folder: the system's temporary folder is not usable; ")
