"""An engine that breaks down, each time in one way: what no engine should do, and some do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NoReturn, Self

import numpy as np
from websockets.exceptions import ConnectionClosedError

from cosyserve.engine.interface import PcmChunk, Prompt, SynthesisOptions
from support.engines.fake_engine import FakeEngine, FakeSession, tone

SECRET: Final = "a word of the inside"
"""In the message of every exception; no client may ever see it."""
ENDS: Final = object()
"""What an act gives to end the iteration."""

Step = Literal["open_session", "enter", "feed", "finish", "iteration", "cancel"]


@dataclass(frozen=True)
class Fault:
    """step: where it happens. act: raises, or gives (an awaitable of) what is yielded beside the speech.

    broke: the log's words for what was broken.
    """

    name: str
    step: Step
    act: Callable[[], Any]
    broke: str

    def __str__(self) -> str:
        return self.name


class FaultySession(FakeSession):
    """A FakeSession up to its engine's fault."""

    async def feed(self, text: str) -> None:
        await self._at("feed")
        await super().feed(text)

    async def finish(self) -> None:
        await self._at("finish")
        await super().finish()

    async def __aiter__(self) -> AsyncIterator[PcmChunk]:
        said = 0
        async for chunk in super().__aiter__():
            if said == self._engine.after:
                wrong = await self._at("iteration")
                if wrong is ENDS:
                    return
                if wrong is not None:
                    yield wrong
            yield chunk
            said += 1

    async def __aenter__(self) -> Self:
        await self._at("enter")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        await self._at("cancel")

    @property
    def _engine(self) -> FaultyEngine:
        assert isinstance(self.engine, FaultyEngine)
        return self.engine

    async def _at(self, step: Step) -> Any:
        fault = self._engine.fault
        if fault is None or fault.step != step:
            return None
        found = fault.act()
        return await found if inspect.isawaitable(found) else found


class FaultyEngine(FakeEngine):
    """fault: how its sessions fail, from now on; None: they do not. after: words that are said first."""

    session_type = FaultySession

    def __init__(self, fault: Fault | None = None, after: int = 0) -> None:
        super().__init__()
        self.fault = fault
        self.after = after

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> FakeSession:
        if self.fault is not None and self.fault.step == "open_session":
            self.fault.act()
        return super().open_session(prompt, options)


def raises(kind: type[BaseException], *arguments: object) -> Callable[[], NoReturn]:
    """An act that raises such an exception."""

    def act() -> NoReturn:
        raise kind(*arguments)

    return act


def gives(thing: object) -> Callable[[], object]:
    """An act that gives this."""
    return lambda: thing


async def wait_for_what_is_cancelled() -> None:
    """What is waited for was cancelled, by nobody who waits."""
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


async def cancel_who_calls() -> None:
    """The asyncio task that the engine is called in is cancelled by the engine."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def _raising(step: Step, kind: type[BaseException], *arguments: object) -> Fault:
    act = raises(kind, *(arguments or (SECRET,)))
    return Fault(f"{step} raises {kind.__name__}", step, act, f"{step} raised {kind.__name__}")


CHUNK: Final = PcmChunk(tone())

EARLY_END: Final = Fault(
    "iteration ends early", "iteration", gives(ENDS), "iteration ended before finish or cancel"
)
"""A fault as long as the text has not ended."""

FAULTS: Final = (
    Fault("an empty chunk", "iteration", gives(PcmChunk(np.zeros(0, np.float32))), "empty chunk"),
    Fault("bytes for a chunk", "iteration", gives(b"\0\0"), "yielded a bytes"),
    Fault("a list of samples", "iteration", gives(PcmChunk([0.0])), "are a list"),  # type: ignore[arg-type]
    Fault(
        "whole numbers",
        "iteration",
        gives(PcmChunk(np.zeros(9, np.int16))),
        "int16 of 1",  # type: ignore[arg-type]
    ),
    Fault("stereo", "iteration", gives(PcmChunk(np.zeros((9, 2), np.float32))), "of 2 dimensions"),
    Fault(
        "not a number",
        "iteration",
        gives(replace(CHUNK, samples=np.full(9, np.nan, np.float32))),
        "not all finite",
    ),
    _raising("iteration", RuntimeError),
    _raising("iteration", BaseExceptionGroup, SECRET, [GeneratorExit(SECRET)]),
    _raising("iteration", SystemExit),
    _raising("iteration", ConnectionClosedError, None, None),
    _raising("iteration", ConnectionResetError),
    _raising("iteration", TimeoutError),
    Fault(
        "iteration waits for what is cancelled",
        "iteration",
        wait_for_what_is_cancelled,
        "iteration raised CancelledError",
    ),
    _raising("open_session", ValueError),
    _raising("open_session", asyncio.CancelledError),
    _raising("enter", ValueError),
    _raising("feed", ValueError),
    _raising("feed", GeneratorExit),
    Fault("feed waits for what is cancelled", "feed", wait_for_what_is_cancelled, "feed raised"),
    _raising("finish", BaseExceptionGroup, SECRET, [KeyboardInterrupt(SECRET)]),
    _raising("cancel", OSError),
)
