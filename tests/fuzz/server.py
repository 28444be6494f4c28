"""A server for fuzzers, in this process, with small limits: it may log no error, and hold nothing at the end.

Its loop runs while a batch is checked, and only then.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import traceback
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from unittest import mock

import uvloop
from structlog.testing import capture_logs
from structlog.typing import EventDict
from websockets.asyncio.client import connect

from cosyserve.protocol.elevenlabs import parameters
from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine
from support.peers.peers import message, run_task

from .client import PATIENCE
from .harness import Outcome, bounded_work

T = TypeVar("T")

SECRET: Final = "alice-secret"
_WORK: Final = 120.0
"""Processor time of a batch, which takes about a second."""
_SETTLING: Final = 30.0
"""Seconds until nothing is held, which takes about one."""
_LIMITS: Final = {
    "head_timeout": 0.4,
    "body_timeout": 0.4,
    "upload_timeout": 0.8,
    "idle_text_timeout": 0.3,
    "idle_connection_timeout": 0.4,
    "dashscope_text_timeout": 0.3,
    "dashscope_idle_timeout": 0.4,
    "close_timeout": 0.3,
    "flood_timeout": 1.0,
    "max_message_bytes": 128 * 1024,
    "max_message_characters": 2000,
    "max_task_characters": 3000,
    "max_upload_bytes": 256 * 1024,
    "min_reference_seconds": 0.1,
    "max_reference_seconds": 2.0,
    "max_uploads": 1000,
    "max_tasks": 4000,
    "max_tasks_per_token": 2000,
    "max_realtime_share": None,
}


class FuzzedServer:
    """A context, in which `run` runs a batch's coroutines beside the server."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._entries: list[EventDict] = stack.enter_context(capture_logs())
            self._records = stack.enter_context(_Records())
            # Clients may ask for other times, up to minutes.
            for name, seconds in (("DEFAULT_TIMEOUT", 0.3), ("LONGEST_TIMEOUT", 1.0)):
                stack.enter_context(mock.patch.object(parameters, name, seconds))
            self._runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
            self.engine = FakeEngine(word_times=True)
            started = AsyncExitStack()
            self.server: RunningServer = self._runner.run(
                started.enter_async_context(serve(load_settings(self._settings()), self.engine))
            )
            stack.callback(lambda: self._runner.run(started.aclose()))
            self._tasks = self.run(self._settled(None))
            self._kept = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._kept.close()

    def _settings(self) -> dict[str, Any]:
        (self.folder / "spool").mkdir()
        return {
            **{"port": 0, "host": "127.0.0.1", "tokens": (f"alice={SECRET}", "bob=bob-secret")},
            **{"references": str(self.references), "spool_folder": str(self.folder / "spool")},
            **_LIMITS,
        }

    @property
    def references(self) -> Path:
        return self.folder / "references"

    @property
    def port(self) -> int:
        return self.server.port

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with bounded_work(_WORK):
            return self._runner.run(coroutine)

    async def faults(self) -> list[str]:
        """What is wrong after a batch: what is held still, what was logged, what does not work any more."""
        try:
            await self._settled(self._tasks)
        except TimeoutError:
            return [f"after all connections have ended there are still {self._held()}"]
        try:
            async with asyncio.timeout(PATIENCE):
                await self._probe()
        except Exception as error:
            return [f"the server does not serve any more: {type(error).__name__} {error}"]
        finally:
            self.engine.sessions.clear()
            self.engine.known.clear()
        return self._logged()

    async def _probe(self) -> None:
        """A task is spoken to its end."""
        url = f"ws://127.0.0.1:{self.port}/api-ws/v1/audio/speech"
        async with connect(url, additional_headers={"Authorization": SECRET}) as socket:
            await socket.send(run_task("probe"))
            await socket.send(message("finish-task", "probe", input={"text": "One."}))
            heard = [str(await socket.recv()) for _ in range(3)]
        events = ("task-started", "result-generated", "task-finished")
        if not all(event in each for event, each in zip(events, heard, strict=True)):
            raise ValueError(f"{heard!r:.300}")

    async def _settled(self, tasks: int | None) -> int:
        """Wait until nothing is held, then tell how many asyncio tasks there are: no more than `tasks`."""
        async with asyncio.timeout(_SETTLING):
            while self._held() or (tasks is not None and len(asyncio.all_tasks()) > tasks):
                await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    def _held(self) -> str:
        services = self.server.services
        held = {
            "tasks": services.admission.tasks,
            "connections": services.admission.connections,
            "uploads": services.admission.uploads,
            "sockets": len(services.sockets),
            "sessions": len(self.engine.open),
            "spooled files": len(list((self.folder / "spool").iterdir())),
        }
        return ", ".join(f"{count} {what}" for what, count in held.items() if count)

    def _logged(self) -> list[str]:
        entries, records = list(self._entries), list(self._records.found)
        self._entries.clear()
        self._records.found.clear()
        found = [
            f"logged as {entry['log_level']}: {entry['event']}\n{_shown(entry)}"
            for entry in entries
            if entry["log_level"] in ("error", "critical") or "exc_info" in entry
        ]
        found += [
            f"a secret is logged: {entry['event']}" for entry in entries if SECRET in str(entry)
        ]
        return found + records


def _shown(entry: EventDict) -> str:
    error = entry.get("exc_info")
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(error))[-3000:]
    return str(entry)[:1000]


class _Records(logging.Handler):
    """What libraries log as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.name} logs: {self.format(record)[:3000]}")

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        logging.getLogger().removeHandler(self)


class ServerFuzzer:
    """A fuzzer of a server, which checks the cases of a batch at the same time."""

    shrinking = 60

    def __enter__(self) -> Self:
        self.fuzzed = FuzzedServer().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.fuzzed.__exit__(*exc)

    async def checked(self, case: bytes) -> Outcome:
        """What comes of a case by itself."""
        raise NotImplementedError

    def together(self, cases: Sequence[bytes]) -> bytes | None:
        """A case that is all of these; None if no case can be."""
        return None

    async def left(self, outcomes: Sequence[Outcome]) -> list[str]:
        """What is wrong with what cases of these outcomes leave behind."""
        return []

    def check(self, cases: Sequence[bytes]) -> list[Outcome]:
        """What came of each. A fault of all of them together is looked for in fewer and fewer."""
        outcomes, faults = self.fuzzed.run(self._check(cases))
        if not faults:
            return outcomes
        # What is still held would be taken for the fault of what comes next.
        self.fuzzed.__exit__()
        self.fuzzed = FuzzedServer().__enter__()
        if any(outcome.problem for outcome in outcomes):
            return outcomes
        if len(cases) == 1:
            return [Outcome("batch", faults[0])]
        middle = len(cases) // 2
        outcomes = [*self.check(cases[:middle]), *self.check(cases[middle:])]
        if not any(outcome.problem for outcome in outcomes):
            outcomes[0] = Outcome("batch", faults[0], case=self.together(cases))
        return outcomes

    async def _check(self, cases: Sequence[bytes]) -> tuple[list[Outcome], list[str]]:
        outcomes = await asyncio.gather(*(self.checked(case) for case in cases))
        return outcomes, await self.left(outcomes) or await self.fuzzed.faults()
