"""Counts outlive the server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.server.quotas import DailyQuotas, QuotaFile
from cosyserve.server.quotas.book import Use
from cosyserve.server.quotas.day import DAY
from cosyserve.server.quotas.file import NAME
from cosyserve.server.settings.values import DailyQuota

from .test_day import Clocks


def quotas_of(clocks: Clocks, characters: int | None = 100) -> DailyQuotas:
    return DailyQuotas(DailyQuota(characters), {}, clocks.day())


async def kept(quotas: DailyQuotas, folder: Path) -> None:
    file = QuotaFile(quotas, folder)
    quotas.add("alice", 7, 1.5)
    await file.close()


async def after_restart(clocks: Clocks, folder: Path) -> DailyQuotas:
    quotas = quotas_of(clocks)
    file = QuotaFile(quotas, folder)
    await file.read()
    await file.close()
    return quotas


async def test_a_restart_goes_on_with_the_counts(tmp_path: Path) -> None:
    clocks, folder = Clocks(), tmp_path / "new" / "state"
    await kept(quotas_of(clocks), folder)
    assert (await after_restart(clocks, folder)).use("alice") == Use(7, 1.5)
    assert os.stat(folder / NAME).st_mode & 0o077 == 0
    clocks.wall -= 3 * DAY
    assert (await after_restart(clocks, folder)).use("alice") == Use(7, 1.5)
    clocks.wall += 4 * DAY
    assert (await after_restart(clocks, folder)).use("alice") == Use()


async def test_nothing_is_written_where_nobody_has_a_quota(tmp_path: Path) -> None:
    await kept(quotas_of(Clocks(), None), tmp_path)
    assert os.listdir(tmp_path) == []


async def test_it_is_written_only_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = asyncio.Event()
    quotas = quotas_of(Clocks())
    file, real, writes = QuotaFile(quotas, tmp_path), os.replace, []
    loop = asyncio.get_running_loop()

    def replace(*paths: Any) -> None:
        writes.append(paths)
        real(*paths)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr("os.replace", replace)
    watching = asyncio.create_task(file.watch(0.001))
    quotas.add("alice", 1)
    await written.wait()
    watching.cancel()
    await file.close()
    await file.write()
    assert len(writes) <= 2  # again at most where the watch was cancelled before it knew
    assert (await after_restart(Clocks(), tmp_path)).use("alice") == Use(1)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"at": 1}', '{"at":1,"ends":2,"used":{"a":[1]}}', "\0"]
)
async def test_a_damaged_file_stops_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with capture_logs() as logs:
        quotas = await after_restart(Clocks(), tmp_path)
    assert quotas.use("alice") == Use()
    assert [(each["event"], each["log_level"]) for each in logs] == [("quotas_not_kept", "error")]


async def test_a_crash_while_it_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks()
    await kept(quotas_of(clocks), tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    quotas = await after_restart(clocks, tmp_path)
    file = QuotaFile(quotas, tmp_path)
    quotas.add("alice", 1)
    with capture_logs() as logs:
        await file.write()
        await file.write()
    assert [each["event"] for each in logs] == ["quotas_not_kept"]
    assert (await after_restart(clocks, tmp_path)).use("alice") == Use(7, 1.5)
    monkeypatch.undo()
    await file.close()
    assert (await after_restart(clocks, tmp_path)).use("alice") == Use(8, 1.5)
    assert os.listdir(tmp_path) == [NAME]
