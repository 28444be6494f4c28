"""One task: text in, PCM chunks out.

    feed -> TaskReader (text frontend, LM) -> TokenChunker -> HopJob (flow, vocoder) -> PcmChunk

Utterances are spoken in order, one hop at a time, and only while the client has little unread. So the sound
held for it is bounded; only text and tokens, which are small, run ahead.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..interface import CancelsOnExit, EngineDied, EngineError, PcmChunk, SpokenSegment, Work
from .config import SAMPLE_RATE, FlowSizes
from .flow import FlowPrompt
from .lm import SpeechLM
from .prompt.caches import FlowPromptCache
from .prompt.voice import VoicePrompt
from .reading import Conditioning, TaskReader, UtteranceInput, utterance_seed
from .scheduling.batcher import Batcher
from .scheduling.chunker import HopPolicy, Listener, TokenChunker
from .scheduling.hops import HopJob, HopResult, UtteranceHops
from .scheduling.memory import MemoryBudget, MemoryLease
from .vocoder import StreamPolicy

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionParts:
    """The parts that the sessions of an engine share.

    crossfade: how much of an utterance's first sound the vocoder holds back.
    work_ahead, utterances_ahead: see CosyVoiceOptions.
    """

    lm: SpeechLM
    batcher: Batcher
    flow_prompts: FlowPromptCache
    memory: MemoryBudget
    text_threads: Executor
    flow: FlowSizes
    hops: HopPolicy
    crossfade: StreamPolicy
    work_ahead: float
    utterances_ahead: int


class CosyVoiceSession(CancelsOnExit):
    """interface.Session. Made by CosyVoiceEngine.open_session. Its segments are the utterances."""

    def __init__(
        self,
        parts: SessionParts,
        prompt: VoicePrompt,
        conditioning: Conditioning,
        lease: MemoryLease,
        on_close: Callable[[CosyVoiceSession], None],
    ) -> None:
        self._parts = parts
        self._prompt = prompt
        """The voice: what the models are conditioned with."""
        self._conditioning = conditioning
        """How the task is spoken: mode, sampling, speed, seed."""
        self._lease = lease
        """The share of device memory, and the policy that goes with it."""
        self._on_close = on_close
        self._reader = TaskReader(
            parts.lm,
            conditioning,
            self._new_chunker,
            parts.text_threads,
            parts.utterances_ahead,
            self._start,
            self._advance,
        )
        """From text to speech tokens; holds the utterances that are not spoken yet."""
        self._listener = Listener(_now())
        """When the client runs dry, for all one can tell."""
        self._begun = False
        """Whether any text has come: before it, nothing is computed."""
        self._job: HopJob | None = None
        """The hop that waits or is being computed; one at a time."""
        self._flow_prompt: FlowPrompt | None = None
        """The voice's prompt on the device, once it is there."""
        self._chunks: deque[PcmChunk] = deque()
        """Made and not read yet."""
        self._unreported = Work()
        """Work since the last chunk, to go with the next one."""
        self._segments = 0
        """Utterances that have been heard so far."""
        self._finished = False
        """Whether the text has ended."""
        self._closed = False
        """Whether everything has been given back."""
        self._cancelled = False
        """Whether the reader has left: it gets no more chunks, and no error."""
        self._error: EngineError | None = None
        """Raised once the chunks that are ready have been read."""
        self._tasks: set[asyncio.Task[None]] = set()
        """The session's own tasks; cancelled when it closes."""
        self._changed = asyncio.Event()
        """Wakes the reader: a chunk, the end, or an error."""

    @property
    def unread(self) -> float:
        """Seconds of speech that wait for the reader."""
        return self._listener.unread

    # The interface

    async def feed(self, text: str) -> None:
        """Take the next piece of text. Raises ValueError after finish; ignored after cancel."""
        if self._finished and not self._cancelled:
            raise ValueError("the text is finished")
        if text and not self._closed:
            self._begin()
            self._reader.feed(text)

    async def flush(self) -> None:
        """The utterance ends here. Nothing happens after finish or cancel."""
        if self._begun and not (self._finished or self._closed):
            self._reader.flush()

    async def finish(self) -> None:
        if not (self._finished or self._closed):
            self._finished = True
            self._begin()
            self._reader.finish()

    async def cancel(self) -> None:
        """Stop and free everything; a step that runs ends first, and leaves nothing behind."""
        self._cancelled = True
        self._chunks.clear()
        tasks = list(self._tasks)
        self._close()
        self._changed.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    def fail(self, error: EngineError) -> None:
        """End with this error, once what is ready has been read."""
        if not self._closed:
            self._error = error
            self._close()
            self._changed.set()

    def __aiter__(self) -> AsyncIterator[PcmChunk]:
        return self

    async def __anext__(self) -> PcmChunk:
        """The next chunk, as soon as there is one. Cancel-safe: no speech is lost."""
        while not self._chunks:
            if self._error is not None and not self._cancelled:
                raise self._error
            if self._cancelled or self._over:
                self._close()
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._listener.read(len(chunk.samples) / SAMPLE_RATE, _now())
        self._advance()
        return chunk

    # From tokens to sound

    def _begin(self) -> None:
        """Start the work at the first text, so that a session which never gets any costs nothing."""
        if not self._begun:
            self._begun = True
            self._listener = Listener(_now())
            self._start(self._reader.run())
            self._start(self._get_flow_prompt())

    def _new_chunker(self) -> TokenChunker:
        return TokenChunker(
            self._parts.hops,
            chunk=self._parts.flow.chunk_tokens,
            look_ahead=self._parts.flow.look_ahead,
            prompt_tokens=int(self._prompt.speech_tokens.shape[0]),
        )

    async def _get_flow_prompt(self) -> None:
        self._flow_prompt = await self._parts.flow_prompts.acquire(self._prompt)
        self._advance()

    def _advance(self) -> None:
        """Submit the next hop, if there is one and the client will soon need it."""
        if self._closed or self._job is not None:
            return
        utterances, batcher = self._reader.utterances, self._parts.batcher
        while utterances and utterances[0].silent:
            self._reader.next_utterance()
        if not utterances or self._flow_prompt is None or self.unread >= self._parts.work_ahead:
            batcher.needs_tokens(self, None)
            if self._over:
                self._changed.set()
            return
        utterance, now = utterances[0], _now()
        deadline = self._listener.deadline(now)
        hop = utterance.chunker.take(self._listener.buffered(now))
        if hop is None:
            batcher.needs_tokens(self, deadline if utterance.stream is not None else None)
            return
        batcher.needs_tokens(self, None)
        if utterance.hops is None:
            utterance.hops = self._new_hops(utterance, self._flow_prompt)
        done = partial(self._hop_done, utterance, len(hop.tokens))
        self._job = HopJob(utterance.hops, hop, now, deadline, done, self._hop_failed)
        batcher.submit(self._job)

    def _new_hops(self, utterance: UtteranceInput, prompt: FlowPrompt) -> UtteranceHops:
        return UtteranceHops(
            prompt=prompt,
            policy=self._lease.policy,
            crossfade=self._parts.crossfade,
            speed=self._conditioning.speed,
            seed=utterance_seed(self._conditioning.seed, utterance.number, "vocoder"),
        )

    def _hop_done(self, utterance: UtteranceInput, tokens: int, result: HopResult) -> None:
        self._job = None
        self._unreported += Work(
            queue=result.queue,
            lm=utterance.new_lm_seconds(),
            flow=result.flow,
            vocoder=result.vocoder,
            tokens=tokens,
        )
        if len(result.samples):
            begun = self._segment_begun(utterance)
            self._chunks.append(PcmChunk(result.samples, self._unreported, segments=begun))
            self._unreported = Work()
            self._listener.made(len(result.samples) / SAMPLE_RATE)
            self._changed.set()
        self._account(utterance)
        if utterance.chunker.over:
            self._reader.next_utterance()
        self._advance()

    def _segment_begun(self, utterance: UtteranceInput) -> tuple[SpokenSegment, ...]:
        """The utterance, if its first sound is given out now."""
        if utterance.heard:
            return ()
        utterance.heard = True
        self._segments += 1
        return (SpokenSegment(self._segments - 1, utterance.begin, utterance.end),)

    def _account(self, utterance: UtteranceInput) -> None:
        assert utterance.hops is not None
        policy = self._parts.memory.must_narrow(self._lease, utterance.hops.nbytes)
        if policy is not None:
            utterance.hops.narrow(policy)

    def _hop_failed(self, error: EngineError) -> None:
        self._job = None
        self.fail(error)

    # The end

    @property
    def _over(self) -> bool:
        """Whether all of the text has been spoken, and the text has ended."""
        return self._finished and self._job is None and (self._closed or self._reader.over)

    def _close(self) -> None:
        """Give everything back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._job is not None:
            self._parts.batcher.cancel(self._job)
            self._job = None
        self._parts.batcher.needs_tokens(self, None)
        self._reader.drop()
        if self._flow_prompt is not None:
            self._flow_prompt = None
            self._parts.flow_prompts.release(self._prompt)
        self._parts.memory.close(self._lease)
        self._on_close(self)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        if not isinstance(error, EngineError):
            _log.error("a session failed", exc_info=error)
            error = EngineDied("the speech could not be made")
        self.fail(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
