"""The device's work: which session's hop is computed next, and with whom.

One thread owns the device. Steps of the speech LM, hops (flow, then vocoder) and voices' prompts are its
jobs. The LM's steps come first where both wait, but a step of the LM is asked for only when the one
before is done; so the two take turns while both have work. That needs no further balance: a hop of n
tokens can only come after n steps, and while many sessions have hops ready they share one.

Among hops the earliest deadline goes first: the time at which a listener runs dry who plays in real
time. A listener who has heard nothing yet has been waiting since its text came, so first hops go
before all others, the oldest first. Others join the batch by deadline as well, if their hops are no longer
than the first one's: nobody who is urgent waits for a long hop.

Turns alone would let hops that nobody needs yet delay the tokens of a session that waits for its first
sound. So a hop is held while its deadline is far, a session with an earlier one waits for tokens, and
the LM is at work. It is let go in time for its deadline, and at once when the LM has nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import torch

from ...interface import EngineDied, EngineError
from ..flow import FlowPrompt
from ..prompt.voice import VoicePrompt
from .device import DeviceThread
from .hops import HopJob, HopRunner

_log = logging.getLogger(__name__)

T = TypeVar("T")

LM_PRIORITY: Final = 0
HOP_PRIORITY: Final = 1
PROMPT_PRIORITY: Final = 2
_MARGIN: Final = 0.25
"""Seconds before its deadline at which a hop is let go, besides the time that hops have been taking."""


class SharedThread(DeviceThread):
    """A device thread that knows whether the speech LM has work on it."""

    def __init__(self, device: torch.device | str) -> None:
        super().__init__(device)
        self._lm_jobs = 0
        self.on_lm_idle: Callable[[], None] = lambda: None

    @property
    def lm_busy(self) -> bool:
        return self._lm_jobs > 0

    def submit(self, job: Callable[[], T], priority: int = LM_PRIORITY) -> asyncio.Future[T]:
        future = super().submit(job, priority)
        if priority == LM_PRIORITY:
            self._lm_jobs += 1
            future.add_done_callback(self._lm_step_done)
        return future

    def _lm_step_done(self, future: asyncio.Future[Any]) -> None:
        # The LM asks for its next step in the loop's coming turn: look after that.
        future.get_loop().call_soon(self._lm_settled)

    def _lm_settled(self) -> None:
        self._lm_jobs -= 1
        if not self._lm_jobs:
            self.on_lm_idle()


@dataclass(slots=True)
class BatcherCounts:
    """batches: steps of flow and vocoder. rows: sessions in them, all together. failed: hops.

    queue_seconds: that hops have waited; the others: that the device has worked.
    """

    batches: int = 0
    rows: int = 0
    failed: int = 0
    queue_seconds: float = 0.0
    flow_seconds: float = 0.0
    vocoder_seconds: float = 0.0


@dataclass(slots=True)
class _Needs:
    """Deadlines of the sessions that wait for tokens."""

    deadlines: dict[object, float] = field(default_factory=dict)

    def before(self, deadline: float) -> bool:
        return any(needed < deadline for needed in self.deadlines.values())


class Batcher:
    """Joins the hops of many sessions into steps of flow and vocoder. For one event loop."""

    def __init__(self, thread: SharedThread, max_batch: int) -> None:
        self.counts = BatcherCounts()
        self._thread = thread
        self._max_batch = max_batch
        self._jobs: set[HopJob] = set()
        """Hops that wait."""
        self._needs = _Needs()
        """Sessions that wait for tokens."""
        self._changed = asyncio.Event()
        """Wakes the task: a hop, a need that is over, an idle LM, or the stop."""
        self._task: asyncio.Task[None] | None = None
        """None before the start and after the stop."""
        self._runner: HopRunner | None = None
        """The models, likewise."""
        self._hop_seconds = 0.0
        """How long steps have been taking: the longest, slowly forgotten."""
        thread.on_lm_idle = self._changed.set

    async def start(self, load: Callable[[], HopRunner]) -> HopRunner:
        """Load the models on the device thread. Raises whatever loading raises."""
        self._runner = await self._thread.submit(load, HOP_PRIORITY)
        self._task = asyncio.create_task(self._run(self._runner), name="flow and vocoder")
        return self._runner

    async def stop(self) -> None:
        """Fail what waits and drop the models. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        self._changed.set()
        await asyncio.gather(task, return_exceptions=True)
        jobs, self._jobs = self._jobs, set()
        for job in jobs:
            job.failed(EngineDied("the engine was stopped"))
        self._runner = None

    @property
    def waiting(self) -> int:
        """Hops that wait."""
        return len(self._jobs)

    def submit(self, job: HopJob) -> None:
        """Queue the hop; its callbacks run on the event loop."""
        self._jobs.add(job)
        self._changed.set()

    def cancel(self, job: HopJob) -> None:
        """Drop it if it waits; if it is being computed its result is dropped. Idempotent."""
        job.cancelled = True
        self._jobs.discard(job)
        self._changed.set()

    def needs_tokens(self, session: object, deadline: float | None) -> None:
        """The session needs tokens to go on, by this time; None: it needs none."""
        if deadline is None:
            if self._needs.deadlines.pop(session, None) is not None:
                self._changed.set()
        else:
            self._needs.deadlines[session] = deadline

    async def prepare_prompt(self, voice: VoicePrompt) -> FlowPrompt:
        """Raises EngineDied."""
        runner = self._runner
        if runner is None:
            raise EngineDied("the engine was stopped")
        try:
            return await self._thread.submit(lambda: runner.prompt(voice), PROMPT_PRIORITY)
        except EngineError:
            raise
        except Exception as error:
            _log.exception("a voice's prompt could not be computed")
            raise EngineDied("the voice could not be prepared on the device") from error

    async def _run(self, runner: HopRunner) -> None:
        while self._task is not None:
            self._changed.clear()
            hold = self._hold()
            if hold == 0.0:
                await self._step(runner, self._batch())
                continue
            try:
                async with asyncio.timeout(hold):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _hold(self) -> float | None:
        """How long the next hop must wait; None: until something changes."""
        if not self._jobs:
            return None
        deadline = min(job.deadline for job in self._jobs)
        spare = deadline - asyncio.get_running_loop().time() - _MARGIN - 2 * self._hop_seconds
        if spare > 0 and self._thread.lm_busy and self._needs.before(deadline):
            return spare
        return 0.0

    def _batch(self) -> list[HopJob]:
        """The most urgent hop and those that go with it."""
        jobs = sorted(self._jobs, key=lambda job: (job.deadline, job.asked))
        length = len(jobs[0].hop.tokens)
        batch = [job for job in jobs if len(job.hop.tokens) <= length][: self._max_batch]
        self._jobs.difference_update(batch)
        return batch

    async def _step(self, runner: HopRunner, batch: list[HopJob]) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            results = await self._thread.submit(lambda: runner.run(batch), HOP_PRIORITY)
        except EngineError as error:  # the thread is closed
            for job in batch:
                job.failed(error)
            return
        counts = self.counts
        counts.batches += 1
        counts.rows += len(batch)
        spent = asyncio.get_running_loop().time() - begun
        self._hop_seconds = max(spent, 0.9 * self._hop_seconds)
        for job, result in zip(batch, results, strict=True):
            if job.cancelled:
                continue
            if isinstance(result, EngineError):
                counts.failed += 1
                job.failed(result)
                continue
            result.queue = max(0.0, begun - job.asked)
            counts.queue_seconds += result.queue
            counts.flow_seconds += result.flow
            counts.vocoder_seconds += result.vocoder
            job.done(result)
