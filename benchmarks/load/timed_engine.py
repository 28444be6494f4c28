"""An engine that is a clock: it makes a tone at exact times, to measure what the server adds.

A thread stands for the device of a real engine: it makes a chunk ready at its time. `Work.lm` of the
chunk is the `time.perf_counter()` of that moment, and so the event's `generate_time` at the client.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from time import perf_counter
from typing import Final

import numpy as np

from cosyserve.engine.interface import (
    BuiltinVoice,
    CancelsOnExit,
    Capabilities,
    PcmChunk,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    Work,
)

VOICE: Final = "timed"
SAMPLE_RATE: Final = 24000


class TimedEngine:
    """Every session yields `chunks` chunks of `chunk_seconds` of sound after its first text.

    One is ready every `interval` seconds; with an interval of 0, whenever it is asked for.
    """

    def __init__(self, chunks: int, chunk_seconds: float, interval: float) -> None:
        self.chunks = chunks
        self.interval = interval
        time = np.arange(round(chunk_seconds * SAMPLE_RATE)) / SAMPLE_RATE
        self.samples = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
        self._clock = _Clock()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="timed",
            modes=frozenset({"fast_replication"}),
            instruct="none",
            speed=True,
            word_times=False,
            languages=(),
            sample_rate=SAMPLE_RATE,
            voices=(BuiltinVoice(VOICE, "Timed", "none"),),
        )

    @property
    def ready(self) -> bool:
        return True

    async def start(self) -> None:
        self._clock.start()

    async def stop(self) -> None:
        self._clock.stop()

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        return Prompt(clip.content_id)

    def cached_prompt(self, content_id: str) -> Prompt | None:
        return Prompt(content_id)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        return Prompt(VOICE) if voice_id == VOICE else None

    def stats(self) -> Mapping[str, float]:
        return {}

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> TimedSession:
        return TimedSession(self, self._clock)


class TimedSession(CancelsOnExit):
    """See `cosyserve.engine.interface.Session`."""

    def __init__(self, engine: TimedEngine, clock: _Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        # When each chunk became ready that was not taken yet; 0 without a clock.
        self._ready: deque[float] = deque()
        # Chunks that were not taken yet, ready or not.
        self._to_come = engine.chunks
        # There was text.
        self._fed = False
        self._finished = False
        self._cancelled = False
        # Wakes the iteration at each change of the fields above.
        self._changed = asyncio.Event()

    async def feed(self, text: str) -> None:
        if self._fed or self._finished or self._cancelled or not text:
            return
        self._fed = True
        engine = self._engine
        if engine.interval > 0:
            # Streams that begin together must not have all of their chunks at the same time.
            first = perf_counter() + random.uniform(0, engine.interval)
            self._clock.add(first, engine.interval, engine.chunks, self)
        else:
            self._ready.extend([0.0] * engine.chunks)
            self._changed.set()

    async def flush(self) -> None:
        """Does nothing: no text waits for more."""

    async def finish(self) -> None:
        self._finished = True
        self._changed.set()

    async def cancel(self) -> None:
        self._cancelled = True
        self._changed.set()

    def chunk_ready(self, at: float) -> None:
        """A chunk is ready since `at`. Called by the clock's thread."""
        if not self._cancelled:
            self._loop.call_soon_threadsafe(self._put, at)

    def _put(self, at: float) -> None:
        self._ready.append(at)
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[PcmChunk]:
        while not self._cancelled:
            if self._ready:
                at = self._ready.popleft()
                self._to_come -= 1
                yield PcmChunk(self._engine.samples, Work(lm=at or perf_counter()))
            elif self._finished and not (self._fed and self._to_come):
                return
            else:
                self._changed.clear()
                await self._changed.wait()


class _Clock:
    """A thread that makes the chunks of sessions ready at their times."""

    def __init__(self) -> None:
        # A heap: the next chunk's time, a number against ties, the interval, chunks to come, the session.
        self._due: list[tuple[float, int, float, int, TimedSession]] = []
        self._order = itertools.count()
        # Guards all fields, and wakes the thread.
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def add(self, first: float, interval: float, count: int, session: TimedSession) -> None:
        """Let `count` chunks be ready from `first` on, one every `interval` seconds."""
        with self._changed:
            heapq.heappush(self._due, (first, next(self._order), interval, count, session))
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                if not self._due:
                    self._changed.wait()
                    continue
                due, order, interval, count, session = self._due[0]
                now = perf_counter()
                if due > now:
                    self._changed.wait(due - now)
                    continue
                session.chunk_ready(now)
                if count > 1:
                    following = (due + interval, order, interval, count - 1, session)
                    heapq.heapreplace(self._due, following)
                else:
                    heapq.heappop(self._due)
