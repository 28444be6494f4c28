"""One task from text to encoded bytes: the session code that the WebSocket and REST share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

from cosyserve.engine.interface import (
    Engine,
    PcmChunk,
    Prompt,
    Samples,
    Session,
    SynthesisOptions,
    Work,
)
from cosyserve.protocol.messages import EffectiveAudio, Mark, Sentence, Word
from cosyserve.protocol.parameters import SpeechParameters
from cosyserve.protocol.text import GrowingText

from ..audio import AudioEncoder, Encoded, heavy, open_encoder, silence
from ..errors import ContractBroken, report
from ..ssml import SsmlSession, open_ssml
from .contract import LETS_GO, calling, next_chunk

SILENCE_SECONDS = 0.02
LONGEST_SECONDS = 1.0
"""Of sound in one event: many clients take no message over 1 MiB, and long ones come late."""

_Step = Callable[[], Encoded]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """Bytes of the stream with what they cost: seconds of sound, engine work, seconds of encoding."""

    data: bytes
    seconds: float
    work: Work
    encode_time: float
    words: tuple[Word, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    marks: tuple[Mark, ...] = ()


def _parts(chunk: PcmChunk, longest: int) -> Iterator[PcmChunk]:
    """A chunk in pieces of at most `longest` samples; its costs, words and so on go with the first."""
    samples = chunk.samples
    yield replace(chunk, samples=samples[:longest])
    for begin in range(longest, len(samples), longest):
        yield PcmChunk(samples[begin : begin + longest])


def options_of(parameters: SpeechParameters) -> SynthesisOptions:
    """What of the parameters concerns the engine."""
    return SynthesisOptions(
        mode=parameters.mode.value,
        instruct=parameters.instruct,
        speed=parameters.speed,
        seed=parameters.seed,
        pitch=parameters.pitch,
    )


class _Pending:
    """What chunks told whose bytes the encoder still holds back.

    text: gives parts of the task's text. tells_words: whether anybody wants to know of them.
    """

    def __init__(self, text: Callable[[int, int], str], tells_words: bool) -> None:
        self._text = text
        self._tells_words = tells_words
        self._clear()

    def _clear(self) -> None:
        self._work = Work()
        self._encode_time = 0.0
        self._words: tuple[Word, ...] = ()
        self._sentences: tuple[Sentence, ...] = ()
        self._marks: tuple[Mark, ...] = ()

    def add(self, chunk: PcmChunk | None, encoded: Encoded, spent: float) -> SpokenChunk | None:
        """Take one step's costs; gives all that is pending once the step gave bytes."""
        self._encode_time += spent
        if chunk is not None:
            self._work += chunk.work
            self._note(chunk)
        if not encoded.data:
            return None
        done = SpokenChunk(
            encoded.data,
            encoded.seconds,
            self._work,
            self._encode_time,
            self._words,
            self._sentences,
            self._marks,
        )
        self._clear()
        return done

    def _note(self, chunk: PcmChunk) -> None:
        """What the chunk tells of the text, in the wire's terms."""
        text = self._text
        if self._tells_words:
            self._words += tuple(
                Word(text(w.text_begin, w.text_end), w.begin, w.end, w.text_begin, w.text_end)
                for w in chunk.words
            )
        self._sentences += tuple(
            Sentence(s.number, s.text_begin, s.text_end, text(s.text_begin, s.text_end))
            for s in chunk.segments
        )
        self._marks += tuple(Mark(mark.name, mark.at) for mark in chunk.marks)


class Synthesis:
    """An engine session with an encoder behind it. Use as a context manager; leaving it cancels.

    Iterate it once for the chunks; each has data, and words only where they were asked for. A task
    with nothing to say yields 20 ms of silence, so that every stream is a valid one of its format.
    Iterating raises EngineError. Whatever an engine does that `Session` forbids is a ContractBroken.
    """

    def __init__(
        self,
        session: Session,
        rate: int,
        encoder: AudioEncoder,
        encode_pool: Executor | None,
        tells_words: bool,
    ) -> None:
        self._session = session
        self._tells_words = tells_words
        self._rate = rate
        self._encoder = encoder
        self._pool = encode_pool
        self._text = GrowingText()
        self._finished = False

    @classmethod
    async def open(
        cls, engine: Engine, voice: Prompt, parameters: SpeechParameters, encode_pool: Executor
    ) -> Self:
        """A task of this voice; its encoder works in the pool where it is heavy, else in place.

        Raises EngineNotReady, UnsupportedRequest.
        """
        native = engine.capabilities
        rate = native.sample_rate

        def make() -> AudioEncoder:
            return open_encoder(
                parameters, rate, engine_speed=native.speed, engine_pitch=native.pitch
            )

        if heavy(parameters):
            encoder, pool = await _in_pool(encode_pool, make), encode_pool
        else:
            encoder, pool = make(), None
        options = options_of(parameters)
        session: Session
        with calling("open_session"):
            if parameters.enable_ssml or parameters.plain_breaks:
                session = open_ssml(engine, voice, options, markup=parameters.enable_ssml)
            else:
                session = engine.open_session(voice, options)
        return cls(session, rate, encoder, pool, parameters.word_timestamp_enabled)

    @property
    def audio(self) -> EffectiveAudio:
        """What is really written, e.g. the nearest bit rate that the codec has."""
        return self._encoder.effective

    async def __aenter__(self) -> Self:
        try:
            with calling("enter"):
                await self._session.__aenter__()
        except BaseException:
            with calling("cancel"):
                await self._session.cancel()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # In a task of its own: who leaves may be cancelled meanwhile, and need not wait for ever.
        leaving = asyncio.create_task(self._leave(exc_type, exc, traceback))
        done, _ = await asyncio.wait({leaving}, timeout=LETS_GO)
        if not done:
            report(ContractBroken(f"cancel takes over {LETS_GO:g} s"))
        else:
            leaving.result()

    async def _leave(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with calling("cancel"):
            await self._session.__aexit__(exc_type, exc, traceback)

    async def feed(self, text: str) -> None:
        """Take the next piece of text; does not wait for speech."""
        self._text.append(text)
        with calling("feed"):
            await self._session.feed(text)

    def text(self, begin: int, end: int) -> str:
        """A part of the task's text so far, as words and sentences count it: without SSML's tags."""
        if isinstance(self._session, SsmlSession):
            return self._session.text(begin, end)
        return self._text.part(begin, end)

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the text cannot be done as asked, a sentence each."""
        return self._session.notices if isinstance(self._session, SsmlSession) else ()

    async def flush(self) -> None:
        """Speak what has come without waiting for more."""
        with calling("flush"):
            await self._session.flush()

    async def finish(self) -> None:
        """Say that no more text comes."""
        self._finished = True
        with calling("finish"):
            await self._session.finish()

    async def chunks(self) -> AsyncGenerator[SpokenChunk, None]:
        """The speech as it is made; pulled, so that a slow reader slows only its own task."""
        pending = _Pending(self.text, self._tells_words)
        silent = True
        with calling("iteration"):
            session = aiter(self._session)
        while (whole := await next_chunk(session)) is not None:
            silent = False
            for chunk in _parts(whole, round(LONGEST_SECONDS * self._rate)):
                encoded, spent = await self._encode(chunk.samples)
                if done := pending.add(chunk, encoded, spent):
                    yield done
        if not self._finished:
            raise ContractBroken("iteration ended before finish or cancel")
        if silent:
            encoded, spent = await self._encode(silence(SILENCE_SECONDS, self._rate))
            if done := pending.add(None, encoded, spent):
                yield done
        encoded, spent = await self._run(self._encoder.flush)
        if done := pending.add(None, encoded, spent):
            yield done

    async def _encode(self, samples: Samples) -> tuple[Encoded, float]:
        return await self._run(lambda: self._encoder.encode(samples))

    async def _run(self, step: _Step) -> tuple[Encoded, float]:
        """One encoder step and its seconds; on a thread where the codec is heavy."""

        def timed() -> tuple[Encoded, float]:
            began = time.perf_counter()
            return step(), time.perf_counter() - began

        if self._pool is None:
            return timed()
        return await _in_pool(self._pool, timed)


async def _in_pool(pool: Executor, step: Callable[[], _Result]) -> _Result:
    """What the step gives, on a thread of the pool. Raises what it raises."""

    def safe() -> _Result:
        try:
            return step()
        except StopIteration as error:  # no future takes it, and who waits would wait for ever
            raise RuntimeError("an encoder raised StopIteration") from error

    return await asyncio.get_running_loop().run_in_executor(pool, safe)
