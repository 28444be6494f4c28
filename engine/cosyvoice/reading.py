"""A task's text on its way to speech tokens.

    feed -> TextFrontend -> UtteranceInput.ids -> SpeechTokenStream (LM) -> TokenChunker

Each utterance is a stream of the LM. The LM may be in a few utterances of a task at once, so that one task's
long text takes no place from others; what is further on waits as text tokens.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

from ..interface import EngineDied
from .lm import LmPrompt, SamplingOptions, SpeechLM, SpeechTokenStream
from .lm.silence import SilenceFilter, SilentTokens
from .scheduling.chunker import TokenChunker
from .scheduling.hops import UtteranceHops
from .text import TextDelta, TextFrontend

T = TypeVar("T")

_SLICE: Final = 512
"""Characters of text that are read at once, so that the first of a long one are heard soon."""
_SEEDS: Final = 2**31


@dataclass(frozen=True, slots=True)
class Conditioning:
    """How a task is spoken. lm_prompt: makes what the LM reads first; it may take some milliseconds.

    seed: of the task; each utterance has its own (`utterance_seed`). silence: see lm/silence.py.
    """

    lm_prompt: Callable[[], LmPrompt]
    frontend: TextFrontend
    sampling: SamplingOptions
    speed: float
    seed: int
    silence: SilentTokens | None = None


@dataclass(eq=False, slots=True)
class UtteranceInput:
    """An utterance on its way: text in, speech tokens in its chunker.

    begin, end: where its text lies in the task's, as far as it is known.
    ids: text tokens that the LM has not been given. complete: no more come.
    lm_finished: the LM has been told that no more come.
    stream: None until the LM is in it. hops: None until its first hop.
    heard: whether some of its sound has been given out.
    charged: seconds of the LM that chunks have reported.
    """

    number: int
    chunker: TokenChunker
    begin: int
    ids: list[int] = field(default_factory=list)
    end: int = 0
    heard: bool = False
    complete: bool = False
    lm_finished: bool = False
    stream: SpeechTokenStream | None = None
    hops: UtteranceHops | None = None
    charged: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether nothing of it will ever be heard: there was nothing to say, or the LM said nothing."""
        if self.stream is None:
            return self.complete and not self.ids
        return self.chunker.finished and self.chunker.total == 0

    def new_lm_seconds(self) -> float:
        total = self.stream.seconds if self.stream is not None else 0.0
        new, self.charged = total - self.charged, total
        return new


class TaskReader:
    """Reads a task's text. Give it text by `feed`, `flush` and `finish`; `run` does the work.

    start: runs a coroutine beside `run`, and cancels it with the session. on_change: called when an
    utterance has new tokens, or all of them, or the text is over.
    """

    def __init__(
        self,
        lm: SpeechLM,
        conditioning: Conditioning,
        new_chunker: Callable[[], TokenChunker],
        threads: Executor,
        ahead: int,
        start: Callable[[Coroutine[Any, Any, None]], None],
        on_change: Callable[[], None],
    ) -> None:
        self.utterances: deque[UtteranceInput] = deque()
        """The utterances that are not spoken to their end, in order."""
        self._lm = lm
        self._conditioning = conditioning
        self._new_chunker = new_chunker
        self._threads = threads
        """For the frontend, which is too slow for the event loop."""
        self._ahead = ahead
        """Utterances that the LM may be in at once."""
        self._start = start
        self._on_change = on_change
        self._lm_prompt: LmPrompt | None = None
        """None until `run` has made it."""
        self._pieces: deque[str | None] = deque()
        """Text that the frontend has not been given, as it came; None for a flush."""
        self._latest: UtteranceInput | None = None
        """The utterance that the frontend is in."""
        self._finished = False
        """Whether the text has ended."""
        self._read_to_end = False
        """Whether the frontend has been told so, and has given all of it."""
        self._changed = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether the text has ended and all of it was spoken."""
        return self._read_to_end and not self.utterances

    def feed(self, text: str) -> None:
        self._pieces.extend(text[at : at + _SLICE] for at in range(0, len(text), _SLICE))
        self._changed.set()

    def flush(self) -> None:
        """The utterance ends with the text so far."""
        self._pieces.append(None)
        self._changed.set()

    def finish(self) -> None:
        self._finished = True
        self._changed.set()

    def next_utterance(self) -> None:
        """The first one has been spoken."""
        self.utterances.popleft()
        self._changed.set()

    def drop(self) -> None:
        """Forget what is still to be read."""
        self._pieces.clear()
        self.utterances.clear()

    async def run(self) -> None:
        """Read until the LM has all of the text. Raises EngineError."""
        self._lm_prompt = await self._in_thread(self._conditioning.lm_prompt)
        while True:
            self._changed.clear()
            for delta in await self._next_deltas():
                self._take(delta)
            await self._give()
            self._on_change()
            if self._pieces or self._finished != self._read_to_end:
                continue
            if self._read_to_end and all(utterance.lm_finished for utterance in self.utterances):
                return
            await self._changed.wait()

    async def _next_deltas(self) -> list[TextDelta]:
        frontend = self._conditioning.frontend
        if self._pieces:
            piece = self._next_piece()
            work = frontend.flush if piece is None else partial(frontend.feed, piece)
            return await self._in_thread(work)
        if self._finished and not self._read_to_end:
            deltas = await self._in_thread(frontend.finish)
            self._read_to_end = True
            return deltas
        return []

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _next_piece(self) -> str | None:
        """As many small pieces as make a slice: each costs a turn of a thread. None for a flush."""
        piece = self._pieces.popleft()
        while piece is not None and self._pieces:
            following = self._pieces[0]
            if following is None or len(piece) + len(following) > _SLICE:
                break
            piece += following
            self._pieces.popleft()
        return piece

    def _take(self, delta: TextDelta) -> None:
        utterance = self._latest
        if utterance is None or utterance.number != delta.utterance:
            utterance = UtteranceInput(delta.utterance, self._new_chunker(), delta.begin)
            self._latest = utterance
            self.utterances.append(utterance)
        utterance.ids.extend(delta.ids)
        utterance.end = delta.end
        utterance.complete = delta.done

    async def _give(self) -> None:
        """Hand text tokens to the LM, for the utterances that it may be in now."""
        for utterance in list(self.utterances)[: self._ahead]:
            if utterance.stream is None:
                if not utterance.ids:
                    utterance.lm_finished = utterance.complete
                    continue
                utterance.stream = self._open(utterance)
                self._start(self._take_tokens(utterance, utterance.stream))
            if utterance.ids:
                ids, utterance.ids = utterance.ids, []
                await utterance.stream.feed(ids)
            if utterance.complete and not utterance.lm_finished:
                utterance.lm_finished = True
                await utterance.stream.finish()

    def _open(self, utterance: UtteranceInput) -> SpeechTokenStream:
        assert self._lm_prompt is not None
        seed = utterance_seed(self._conditioning.seed, utterance.number, "lm")
        try:
            return self._lm.open(self._lm_prompt, replace(self._conditioning.sampling, seed=seed))
        except ValueError as error:
            raise EngineDied("the voice does not fit the speech model") from error

    async def _take_tokens(self, utterance: UtteranceInput, stream: SpeechTokenStream) -> None:
        spoken = SilenceFilter(self._conditioning.silence)
        try:
            async for tokens in stream:
                utterance.chunker.add(spoken.feed(tokens))
                self._on_change()
        finally:
            await stream.cancel()
        utterance.chunker.finish()
        self._on_change()


def utterance_seed(seed: int, number: int, part: str) -> int:
    """A seed of its own for each part of each utterance of a task, the same ones for the same seed."""
    return zlib.crc32(f"{seed} {number} {part}".encode()) % _SEEDS
