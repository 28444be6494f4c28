"""What happens to the worker processes when something dies."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.espeak import installation
from cosyserve.engine.interface import EngineDied, EngineNotReady, SynthesisOptions
from support.engines.embedded import running, speak, voice_of


async def test_a_killed_worker_fails_its_session_alone() -> None:
    async with running(workers=1) as engine:
        long = "A very long story " * 9
        victim = engine.open_session(voice_of(engine, "alba"), SynthesisOptions())
        bystander = asyncio.ensure_future(speak(engine, "Four hours of steady work."))
        await victim.feed(long)
        await victim.finish()
        await asyncio.sleep(0)
        os.kill(engine.worker_pids[0], signal.SIGKILL)
        with pytest.raises(EngineDied):
            [chunk async for chunk in victim]
        assert (await bystander).seconds > 1
        assert engine.stats()["worker_restarts_total"] == 1
        assert engine.stats()["workers"] == 1
        assert engine.stats()["sessions"] == 0


def test_it_runs_under_uvloop() -> None:
    async def check() -> float:
        async with running(workers=2) as engine:
            return (await speak(engine, "Four hours of steady work.")).seconds

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(check()) > 1


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineNotReady, match=r"pip install 'cosyserve\[embedded\]'"):
        EmbeddedEngine()


def test_nothing_is_left_when_the_engine_is_killed() -> None:
    script = """
import asyncio
from cosyserve.engine.embedded.engine import EmbeddedEngine
async def main():
    engine = EmbeddedEngine()
    await engine.start()
    print(*engine.worker_pids, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        data = Path(f"/proc/{pids[0]}/cmdline").read_text().split("\0")[5]
        assert Path(data).exists()
        handles = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0], "a worker outlives its engine"
        os.close(handle)
    assert not Path(data).exists()
