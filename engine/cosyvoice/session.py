"""One task's speech: text in, chunks out.

    feed -> TaskReader (text frontend, LM) -> TokenChunker -> HopJob (flow, vocoder) -> PcmChunk

Utterances are voiced in order, one hop at a time, and only while the reader has little unread. So what
is held for it is bounded; only text and tokens, which are small, run ahead.
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
from .config import SAMPLE_RATE, FlowConfig
from .flow import FlowPrompt
from .lm import SpeechLM
from .prompt.caches import PromptCache
from .prompt.voice import VoicePrompt
from .reading import Conditioning, TaskReader, UtteranceInput, utterance_seed
from .scheduling.batcher import Runtime
from .scheduling.chunker import HopPolicy, Listener, TokenChunker
from .scheduling.hops import HopJob, HopResult, UtteranceHops
from .scheduling.memory import MemoryBudget, MemoryLease
from .vocoder import StreamPolicy

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What the sessions of an engine share. seam, work_ahead, utterances_ahead: see CosyVoiceOptions."""

    lm: SpeechLM
    runtime: Runtime
    prompts: PromptCache
    book: MemoryBudget
    text_threads: Executor
    flow: FlowConfig
    hops: HopPolicy
    seam: StreamPolicy
    work_ahead: float
    utterances_ahead: int


class CosyVoiceSession(CancelsOnExit):
    """engine.base.Session. Made by CosyVoiceEngine.open_session. Its sentences are the utterances."""

    def __init__(
        self,
        workshop: SessionParts,
        voice: VoicePrompt,
        manner: Conditioning,
        lease: MemoryLease,
        on_close: Callable[[CosyVoiceSession], None],
    ) -> None:
        self._shop = workshop
        self._voice = voice
        self._manner = manner
        self._lease = lease
        self._on_close = on_close
        self._reading = TaskReader(
            workshop.lm,
            manner,
            self._new_chunker,
            workshop.text_threads,
            workshop.utterances_ahead,
            self._start,
            self._advance,
        )
        self._listener = Listener(_now())
        self._begun = False
        self._job: HopJob | None = None
        self._prompt: FlowPrompt | None = None
        self._chunks: deque[PcmChunk] = deque()
        self._unsaid = Work()
        self._sentences = 0
        self._finished = False
        self._closed = False
        self._cancelled = False
        self._error: EngineError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

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
            self._reading.feed(text)

    async def flush(self) -> None:
        """The utterance ends here. Nothing happens after finish or cancel."""
        if self._begun and not (self._finished or self._closed):
            self._reading.flush()

    async def finish(self) -> None:
        if not (self._finished or self._closed):
            self._finished = True
            self._begin()
            self._reading.finish()

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
            self._start(self._reading.run())
            self._start(self._get_prompt())

    def _new_chunker(self) -> TokenChunker:
        return TokenChunker(
            self._shop.hops,
            chunk=self._shop.flow.encoder.chunk_tokens,
            look_ahead=self._shop.flow.look_ahead,
            prompt_tokens=int(self._voice.speech_tokens.shape[0]),
        )

    async def _get_prompt(self) -> None:
        self._prompt = await self._shop.prompts.acquire(self._voice)
        self._advance()

    def _advance(self) -> None:
        """Have the next hop computed, if there is one and the reader will soon need it."""
        if self._closed or self._job is not None:
            return
        utterances, runtime = self._reading.utterances, self._shop.runtime
        while utterances and utterances[0].silent:
            self._reading.next_utterance()
        if not utterances or self._prompt is None or self.unread >= self._shop.work_ahead:
            runtime.needs_tokens(self, None)
            if self._over:
                self._changed.set()
            return
        utterance, now = utterances[0], _now()
        deadline = self._listener.deadline(now)
        hop = utterance.chunker.take(self._listener.buffered(now))
        if hop is None:
            runtime.needs_tokens(self, deadline if utterance.stream is not None else None)
            return
        runtime.needs_tokens(self, None)
        if utterance.voicing is None:
            utterance.voicing = self._voicing(utterance, self._prompt)
        done = partial(self._hop_done, utterance, len(hop.tokens))
        self._job = HopJob(utterance.voicing, hop, now, deadline, done, self._hop_failed)
        runtime.submit(self._job)

    def _voicing(self, utterance: UtteranceInput, prompt: FlowPrompt) -> UtteranceHops:
        return UtteranceHops(
            prompt=prompt,
            policy=self._lease.policy,
            seam=self._shop.seam,
            speed=self._manner.speed,
            seed=utterance_seed(self._manner.seed, utterance.number, "vocoder"),
        )

    def _hop_done(self, utterance: UtteranceInput, tokens: int, result: HopResult) -> None:
        self._job = None
        self._unsaid += Work(
            queue=result.queue,
            lm=utterance.new_lm_seconds(),
            flow=result.flow,
            vocoder=result.vocoder,
            tokens=tokens,
        )
        if len(result.samples):
            begun = self._sentence_begun(utterance)
            self._chunks.append(PcmChunk(result.samples, self._unsaid, segments=begun))
            self._unsaid = Work()
            self._listener.made(len(result.samples) / SAMPLE_RATE)
            self._changed.set()
        self._account(utterance)
        if utterance.chunker.over:
            self._reading.next_utterance()
        self._advance()

    def _sentence_begun(self, utterance: UtteranceInput) -> tuple[SpokenSegment, ...]:
        """The utterance as a sentence, if its first sound is given out now."""
        if utterance.heard:
            return ()
        utterance.heard = True
        self._sentences += 1
        return (SpokenSegment(self._sentences - 1, utterance.begin, utterance.end),)

    def _account(self, utterance: UtteranceInput) -> None:
        assert utterance.voicing is not None
        policy = self._shop.book.must_narrow(self._lease, utterance.voicing.nbytes)
        if policy is not None:
            utterance.voicing.narrow(policy)

    def _hop_failed(self, error: EngineError) -> None:
        self._job = None
        self.fail(error)

    # The end

    @property
    def _over(self) -> bool:
        """Whether all of the text has been spoken, and the text has ended."""
        return self._finished and self._job is None and (self._closed or self._reading.over)

    def _close(self) -> None:
        """Give everything back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._job is not None:
            self._shop.runtime.cancel(self._job)
            self._job = None
        self._shop.runtime.needs_tokens(self, None)
        self._reading.drop()
        if self._prompt is not None:
            self._prompt = None
            self._shop.prompts.release(self._voice)
        self._shop.book.close(self._lease)
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
