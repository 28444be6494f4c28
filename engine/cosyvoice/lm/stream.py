"""The part that the streams of all backends share: the composition's inputs in, tokens out.

Lives on the event loop; knows neither torch nor vLLM.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from ...interface import EngineError
from ..config import TOKEN_RATE
from .bistream import Composition, LmInput
from .interface import LmLoop, SamplingOptions
from .sampling import LoopDetector


class ComposedStream(ABC):
    """interface.SpeechTokenStream around a composition.

    The backend calls `next_input` and, for each token, `drew`.

    over: nothing more will be computed. looped: it was ended for repeating itself.
    """

    def __init__(self, composition: Composition, options: SamplingOptions) -> None:
        self._composition = composition
        """What is read next."""
        self._options = options
        self._loops = LoopDetector(round(options.loop_seconds * TOKEN_RATE))
        self._input: LmInput | None = None
        """The input that is under way."""
        self._drawn: list[int] = []
        """Tokens drawn after it so far."""
        self._ready: list[int] = []
        """Speech tokens that the reader has not taken."""
        self._readable = asyncio.Event()
        """Wakes the reader: tokens, the end, or an error."""
        self._error: EngineError | None = None
        """Raised once the tokens that are ready have been taken."""
        self._finished = False
        """Whether the text has ended."""
        self.over = False
        self.looped = False
        self.seconds = 0.0

    # The interface

    async def feed(self, text_ids: Sequence[int]) -> None:
        if self._finished:
            raise ValueError("the text is finished")
        if not self.over:
            self._composition.feed(text_ids)
            self._changed()

    async def finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._composition.finish()
            self._changed()

    async def cancel(self) -> None:
        self._ready.clear()
        self._error = None
        self.end()

    def __aiter__(self) -> AsyncIterator[Sequence[int]]:
        return self

    async def __anext__(self) -> Sequence[int]:
        """All tokens that are ready. Cancel-safe: none is lost."""
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self.over:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        tokens, self._ready = self._ready, []
        return tokens

    # The backend's side

    @abstractmethod
    def _changed(self) -> None:
        """There is new text, its end, or the stream's end. Must not raise."""

    def end(self, error: EngineError | None = None) -> None:
        """No more tokens; the reader gets those that are ready first, then the error."""
        if not self.over:
            self.over = True
            self._error = error
            self._readable.set()
            self._changed()

    def next_input(self) -> LmInput | None:
        """The input that is under way or begins now. Ends the stream if none will ever come."""
        if self._input is None and not self.over:
            try:
                self._input = self._composition.next_input()
            except EngineError as error:
                self.end(error)
                return None
            self._drawn = []
            if self._composition.done:
                self.end()
        return self._input

    def drew(self, token: int) -> bool:
        """A token of the input that is under way has been drawn. Whether it ended the input."""
        lm_input = self._input
        assert lm_input is not None
        self._drawn.append(token)
        stopped = token in lm_input.stop_ids
        if not stopped:
            self._put(token)
        ended = stopped or len(self._drawn) == lm_input.max_tokens
        if ended:
            self._composition.ended(self._drawn)
            self._input = None
        return ended

    def _history(self) -> Sequence[int]:
        """The last decoded ids, as far back as the sampling looks."""
        window = self._options.win
        if not window:
            return ()
        return (self._composition.decoded[-window:] + self._drawn)[-window:]

    def _put(self, token: int) -> None:
        self._ready.append(token)
        self._readable.set()
        if self._loops.add(token):
            self.looped = True
            fails = self._options.on_loop == "fail"
            self.end(LmLoop("the speech model repeats itself") if fails else None)
