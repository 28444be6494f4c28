"""One stream of the vLLM LM: a request into which its composition's inputs go as the text comes.

vLLM computes many streams together; ShareMeter tells how long each of them was computed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....interface import EngineDied, EngineError
from ..bistream import Composition, LmInput
from ..interface import LmFailed, LmNotFinite, SamplingOptions
from ..stream import ComposedStream
from .drawing import InputDrawing, check_input, streaming_input

if TYPE_CHECKING:
    from vllm.engine.protocol import StreamingInput
    from vllm.outputs import RequestOutput

    from .admission import KvLease
    from .host import LmHost


class ShareMeter:
    """A clock that runs, per stream, at 1 / (streams under way): the shares add up to the time in which
    any was under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._at = 0.0
        self._share = 0.0
        self.busy = 0.0
        """Seconds in which any stream was under way, up to the last reading."""
        self.running = 0

    def begin(self) -> float:
        """One stream more is under way; the reading at which its part begins."""
        reading = self.read()
        self.running += 1
        return reading

    def end(self, begun: float) -> float:
        """It is no longer; its share, in seconds."""
        reading = self.read()
        self.running -= 1
        return reading - begun

    def read(self) -> float:
        now = self._now()
        if self.running:
            self.busy += now - self._at
            self._share += (now - self._at) / self.running
        self._at = now
        return self._share


_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Shared:
    """Counts and the meter that the streams of a backend share.

    sessions: one request per stream, into which its inputs go; else a request for each input, with all
    that was read before.
    read: ids handed over to vLLM. requests: of vLLM; more than streams where some were called back.
    """

    sessions: bool = True
    meter: ShareMeter = field(default_factory=ShareMeter)
    requests: int = 0
    lm_inputs: int = 0
    read: int = 0
    tokens: int = 0
    failed: int = 0


class VllmTokenStream(ComposedStream):
    """interface.SpeechTokenStream. A task of its own carries inputs and tokens between composition and vLLM.

    While it waits for text its request waits inside vLLM. Where the host calls it back from there, its
    next text goes into a new request, after all that the old one had read: the tokens stay the same.
    """

    def __init__(
        self,
        name: str,
        composition: Composition,
        options: SamplingOptions,
        host: LmHost,
        max_context: int,
        shared: Shared,
        tenant: str = "",
    ) -> None:
        """max_context: of the composition. tenant: as in LmPrompt."""
        super().__init__(composition, options)
        self._name = name
        """How its requests' names begin."""
        self._seed = (secrets.randbits(63) if options.seed is None else options.seed) % (1 << 63)
        self._host = host
        self._max_context = max_context
        self._shared = shared
        self._tenant = tenant
        self._context: list[int] = []
        """All ids that were read, for a new request after a recall."""
        self._draws = 0
        """Random numbers used by the inputs that have ended."""
        self._begun: float | None = None
        """The meter's reading when the input under way began."""
        self._session: _Session | None = None
        """The request that further inputs can go into, if there is one."""
        self._wake = asyncio.Event()
        """Text, its end, or the stream's end, for a task that waits outside vLLM."""
        self.task = asyncio.create_task(self._run(), name=name)

    async def cancel(self) -> None:
        await super().cancel()
        await asyncio.wait({self.task})

    def call_back(self) -> None:
        """Leave vLLM until text comes, if that is what the stream waits for: its place is needed."""
        if self._session is not None and self._session.parked:
            self._session.close()

    def _changed(self) -> None:
        if self.over:
            # The task itself leaves in good order.
            if asyncio.current_task() is not self.task:
                self.task.cancel()
        elif self._session is not None and self._session.parked:
            try:
                self._go_on(self._session)
            except Exception as error:
                self._failed(error)
        else:
            self._wake.set()

    # The task

    async def _run(self) -> None:
        try:
            while not self.over:
                self._wake.clear()
                lm_input = self.next_input()
                if lm_input is not None:
                    await self._request(lm_input)
                elif not self.over:
                    await self._wake.wait()
        except asyncio.CancelledError:
            if not self.over:
                self.end(EngineDied("the speech model was stopped"))
                raise
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, EngineError):
            self.end(error)
            return
        self._shared.failed += 1
        if not _is_death(error):  # which the host tells of, once
            _log.error("a request of the speech model failed", exc_info=error)
        self._host.failed(error)
        self.end(LmFailed("the speech model failed"))

    async def _request(self, lm_input: LmInput) -> None:
        """From an input to the end of vLLM's request: no more comes, or it was called back."""
        lease = await self._host.budget.reserve(self._worst(lm_input), first=bool(self._context))
        session = _Session(lease)
        self._session = session if self._shared.sessions else None
        self._shared.requests += 1
        name = f"{self._name}-{self._shared.requests}"
        try:
            first = self._handed_over(lm_input, self._context)
            assert first.sampling_params is not None
            session.put(first)
            prompt = session.inputs() if self._session else first.prompt
            outputs = self._host.engine().generate(prompt, first.sampling_params, name)
            async with aclosing(outputs):
                async for output in outputs:
                    if self._took(output):
                        if self._session is not None:
                            self._go_on(session)
                    elif self.over:
                        break
            if self._begun is not None and not self.over:
                raise RuntimeError("vLLM ended a request within a chunk")
        finally:
            self._session = None
            self._stop_clock()
            lease.release()

    def _go_on(self, session: _Session) -> None:
        """After an input: the next one, the end, or wait for text."""
        lm_input = self.next_input()
        if lm_input is not None:
            session.lease.unpark()
            if lm_input.final:
                session.lease.shrink(self._worst(lm_input))
            session.put(self._handed_over(lm_input))
        elif self.over:
            session.close()
        else:
            session.parked = True
            session.lease.park(self.call_back)

    def _handed_over(self, lm_input: LmInput, before: list[int] | None = None) -> StreamingInput:
        """before: what a new request has to read first."""
        ids = self._composition.ids
        check_input(lm_input, ids, len(self._context), self._max_context)
        drawing = InputDrawing.of_input(
            lm_input,
            self._options,
            self._history(),
            ids=ids.head_size,
            seed=self._seed,
            drawn=self._draws,
        )
        read = (*(before or ()), *lm_input.ids)
        shared = self._shared
        shared.lm_inputs += 1
        shared.read += len(read)
        self._begun = shared.meter.begin()
        return streaming_input(read, drawing, self._tenant)

    def _took(self, output: RequestOutput) -> bool:
        """Whether the input has ended.

        Raises LmNotFinite; RuntimeError if vLLM ends it where it does not end, or not where it does.
        """
        lm_input = self._input
        if not output.outputs or lm_input is None:
            return False
        result = output.outputs[0]
        ended = False
        for token in result.token_ids:
            if ended:
                raise RuntimeError("vLLM draws on after the end of a chunk")
            if token in lm_input.banned_ids:
                raise LmNotFinite("the speech model's numbers overflowed")
            self._shared.tokens += 1
            ended = self.drew(token)
            if self.looped:
                return ended
        if ended != (result.finish_reason is not None):
            raise RuntimeError(f"vLLM ended an input with {result.finish_reason}")
        if ended:
            self._context += (*lm_input.ids, *self._drawn[:-1])
            self._draws += len(self._drawn)
            self._stop_clock()
        return ended

    def _stop_clock(self) -> None:
        if self._begun is not None:
            self.seconds += self._shared.meter.end(self._begun)
            self._begun = None

    def _worst(self, lm_input: LmInput) -> int:
        """Ids that the stream's request may come to hold."""
        if self._shared.sessions and not lm_input.final:
            return self._max_context
        return len(self._context) + len(lm_input.ids) + lm_input.max_tokens


class _Session:
    """One request's input, input by input."""

    def __init__(self, lease: KvLease) -> None:
        self.lease = lease
        self.parked = False
        self._inputs: asyncio.Queue[StreamingInput | None] = asyncio.Queue()

    def put(self, lm_input: StreamingInput) -> None:
        """Only once the input before it has ended."""
        self.parked = False
        self._inputs.put_nowait(lm_input)

    def close(self) -> None:
        """Nothing more goes in. Without input and with nothing to compute vLLM ends the request, which
        must not be told of an end after an abort: it would begin one anew."""
        self.parked = False
        self._inputs.put_nowait(None)

    async def inputs(self) -> AsyncGenerator[StreamingInput]:
        while (lm_input := await self._inputs.get()) is not None:
            yield lm_input


def _is_death(error: Exception) -> bool:
    from vllm.v1.engine.exceptions import EngineDeadError

    return isinstance(error, EngineDeadError)
