"""From text to encoded bytes: an engine's session with an encoder behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

from cosyserve.engine.interface import (
    Engine,
    PcmChunk,
    Prompt,
    Samples,
    SynthesisOptions,
    Work,
)
from cosyserve.engine.threads import Threads
from cosyserve.protocol.messages import EffectiveAudio, Mark, Sentence, Word
from cosyserve.protocol.parameters import SpeechParameters
from cosyserve.protocol.phrases import Rule
from cosyserve.protocol.text import GrowingText

from ..audio import AudioEncoder, Encoded, Provenance, heavy, open_encoder, silence
from ..ssml import SsmlSession, open_ssml
from .contract import Checked, CheckedSession, calling
from .reworded import RewordedSession, spoken_rules

SILENCE_SECONDS: Final = 0.02
"""What a task without anything to say is answered with."""
LONGEST_SECONDS: Final = 1.0
"""Of sound in one event: many clients accept no message over 1 MiB, and a long one arrives late."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """Bytes of the stream and what they cost: seconds of sound, engine work, seconds of encoding.

    words, sentences: that begin in it; marks: that lie in it.
    """

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
    if len(samples) <= longest:
        yield chunk
        return
    yield replace(chunk, samples=samples[:longest])
    for begin in range(longest, len(samples), longest):
        yield PcmChunk(samples[begin : begin + longest])


def options_of(parameters: SpeechParameters, tenant: str) -> SynthesisOptions:
    """The parameters that the engine takes."""
    return SynthesisOptions(
        mode=parameters.mode.value,
        instruct=parameters.instruct,
        speed=parameters.speed,
        seed=parameters.seed,
        pitch=parameters.pitch,
        tenant=tenant,
    )


class _Pending:
    """Costs, words, sentences and marks of chunks whose bytes the encoder still holds back.

    text: gives parts of the task's text.
    """

    def __init__(self, text: Callable[[int, int], str]) -> None:
        self._text = text
        self._clear()

    def _clear(self) -> None:
        self._work = Work()
        self._encode_time = 0.0
        self._words: tuple[Word, ...] = ()
        self._sentences: tuple[Sentence, ...] = ()
        self._marks: tuple[Mark, ...] = ()

    def add(self, chunk: PcmChunk | None, encoded: Encoded, spent: float) -> SpokenChunk | None:
        """Add one step's costs; returns everything that is pending once the step has given bytes."""
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
        """Add the chunk's words, sentences and marks, in the wire's terms."""
        text = self._text
        for w in chunk.words:
            place = w.text_begin, w.text_end
            self._words += (Word(text(*place), w.begin, w.end, *place),)
        for s in chunk.segments:
            place = s.text_begin, s.text_end
            self._sentences += (Sentence(s.number, *place, text(*place)),)
        self._marks += tuple(Mark(mark.name, mark.at) for mark in chunk.marks)


class Synthesis:
    """An engine's session with an encoder behind it. Use as a context manager; leaving it cancels.

    Iterate `chunks` once. A task without anything to say yields 20 ms of silence, so that every stream
    is a valid one of its format. Iterating raises EngineError, InvalidParameter for wrong SSML, and
    ContractBroken for anything an engine does that `Session` forbids.
    """

    def __init__(
        self,
        session: CheckedSession,
        rate: int,
        encoder: AudioEncoder,
        encode_pool: Executor | None,
        *,
        ssml: SsmlSession | None,
    ) -> None:
        """rate: Hz of the session's PCM. encode_pool: None encodes in place. ssml: what the session wraps."""
        self._session = session
        self._rate = rate
        self._encoder = encoder
        self._pool = encode_pool
        self._ssml = ssml
        self._text = GrowingText()  # as it was fed, tags included

    @classmethod
    async def open(
        cls,
        engine: Engine,
        voice: Prompt,
        parameters: SpeechParameters,
        encode_pool: Executor,
        ssml_threads: Threads | None = None,
        tenant: str = "",
        rules: tuple[Rule, ...] = (),
        *,
        mark_synthetic: bool = False,
    ) -> Self:
        """A synthesis with this voice. An expensive encoder works in the pool, any other in place.

        ssml_threads: as in `open_ssml`. tenant: as in SynthesisOptions. rules: of phrases, beside those of
        the parameters, which come first. mark_synthetic: whether the sound says that it is synthetic, also
        where the parameters do not ask for it.

        Raises EngineNotReady, UnsupportedRequest, and InvalidParameter for sounds that the engine lacks.
        """
        rules = spoken_rules(engine, (*parameters.pronunciations, *rules))
        native = engine.capabilities
        rate = native.sample_rate
        marked = mark_synthetic or parameters.mark_synthetic

        def make() -> AudioEncoder:
            return open_encoder(
                parameters,
                rate,
                engine_speed=native.speed,
                engine_pitch=native.pitch,
                provenance=Provenance.of(native.name) if marked else None,
            )

        if heavy(parameters):
            encoder, pool = await _in_pool(encode_pool, make), encode_pool
        else:
            encoder, pool = make(), None
        options = options_of(parameters, tenant)
        checked: Checked = partial(RewordedSession, rules=rules) if rules else CheckedSession
        ssml = None
        with calling("open_session"):
            if parameters.enable_ssml or parameters.plain_breaks:
                ssml = open_ssml(
                    engine,
                    voice,
                    options,
                    markup=parameters.enable_ssml,
                    threads=ssml_threads,
                    checked=checked,
                )
                session = CheckedSession(ssml)
            else:
                session = checked(engine.open_session(voice, options))
        return cls(session, rate, encoder, pool, ssml=ssml)

    @property
    def audio(self) -> EffectiveAudio:
        """What is really written, e.g. the nearest bit rate that the codec has."""
        return self._encoder.effective

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence for each part of the text that cannot be spoken as asked."""
        return () if self._ssml is None else self._ssml.notices

    async def __aenter__(self) -> Self:
        await self._session.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.left()

    async def feed(self, text: str, *, flush: bool = False) -> None:
        """Take the next piece of text. flush: speak what has come without waiting for more.

        Does not wait for speech. Raises TextTooLong.
        """
        self._text.append(text)
        if text:
            await self._session.feed(text)
        if flush:
            await self._session.flush()

    async def finish(self) -> None:
        """Say that no more text comes."""
        await self._session.finish()

    def text(self, begin: int, end: int) -> str:
        """A part of the task's text so far, as words and sentences count it: without SSML's tags."""
        return (self._text.part if self._ssml is None else self._ssml.text)(begin, end)

    @property
    def text_length(self) -> int:
        """Code points of that text."""
        return len(self._text) if self._ssml is None else self._ssml.text_length

    async def chunks(self) -> AsyncGenerator[SpokenChunk, None]:
        """The speech as it is made; pulled, so that a slow reader slows only its own task."""
        pending = _Pending(self.text)
        longest = round(LONGEST_SECONDS * self._rate)
        silent = True
        while (whole := await self._session.next_chunk()) is not None:
            silent = False
            for chunk in _parts(whole, longest):
                encoded, spent = await self._encode(chunk.samples)
                if done := pending.add(chunk, encoded, spent):
                    yield done
        if silent:
            encoded, spent = await self._encode(silence(SILENCE_SECONDS, self._rate))
            if done := pending.add(None, encoded, spent):
                yield done
        encoded, spent = await self._timed(self._encoder.flush)
        if done := pending.add(None, encoded, spent):
            yield done

    async def _encode(self, samples: Samples) -> tuple[Encoded, float]:
        return await self._timed(partial(self._encoder.encode, samples))

    async def _timed(self, step: Callable[[], Encoded]) -> tuple[Encoded, float]:
        """One encoder step and the seconds it took; on a thread where the encoder is expensive."""
        if self._pool is None:
            return _timed(step)
        return await _in_pool(self._pool, partial(_timed, step))


def _timed(step: Callable[[], Encoded]) -> tuple[Encoded, float]:
    began = time.perf_counter()
    return step(), time.perf_counter() - began


async def _in_pool(pool: Executor, step: Callable[[], _Result]) -> _Result:
    """Run the step on a thread of the pool. Raises what the step raises."""

    def safe() -> _Result:
        try:
            return step()
        except StopIteration as error:  # a future refuses it, and its waiter would wait for ever
            raise RuntimeError("an encoder raised StopIteration") from error

    return await asyncio.get_running_loop().run_in_executor(pool, safe)
