"""The interface between the server and an engine: the one page that the author of an engine reads.

The server talks to an `Engine` in plain values; no socket, tensor or process handle crosses the
border, so an engine may run in this process, in others or on another machine.

The life of an engine, all of it on one event loop:

1. `start` loads what the engine needs. The server awaits it once, before the first session.
2. `prepare_prompt` turns a `TranscribedClip` into a `Prompt`. `cached_prompt` and `builtin_prompt` look
   for one that exists.
3. `open_session` begins a task. The server enters the `Session`, feeds it text with `feed`, `flush`
   and `finish` in one asyncio task, and iterates over it for `PcmChunk`s in another, both at once.
4. Leaving the session, or `cancel`, frees everything that the task holds.
5. `stop` ends the engine. Sessions that are still open fail with EngineNotReady.

Units: seconds for times and durations, Hz for rates, code points for places in a text. Places count
in the task's text as it was fed, with every delta joined; times count from the first sample of the
task's speech. Speech is mono float32 PCM at `Capabilities.sample_rate`.

Ownership: the caller may keep and change the samples of a chunk. A `Prompt` belongs to its engine:
the server keeps it and hands it back, and never looks inside.

Errors: engines raise EngineErrors and nothing else. The server gives each its code on the wire, in
one place; it logs any other exception whole and sends a bare internal error.

EngineError
├── EngineNotReady      it has not started, is stopping, or is being rebuilt
├── EngineBusy          it has no room for this session now, and may have later
├── EngineDied          the process or device behind the session is gone: this session failed
├── UnsupportedRequest  it cannot do what was asked; the message says what it can do
└── InvalidReference    the clip cannot serve as a voice; the message says why
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, runtime_checkable

if TYPE_CHECKING:  # the settings read the engines' options, and `--help` need not wait for numpy
    import numpy as np
    import numpy.typing as npt


class EngineError(Exception):
    """An engine cannot go on. The message is fit for a client: it names no internals."""


class EngineNotReady(EngineError): ...


class EngineBusy(EngineError): ...


class EngineDied(EngineError): ...


class UnsupportedRequest(EngineError): ...


class InvalidReference(EngineError): ...


Samples: TypeAlias = "npt.NDArray[np.float32]"
"""Mono PCM: one dimension, full scale at ±1."""


@dataclass(frozen=True, slots=True)
class BuiltinVoice:
    """A voice that needs no reference. id: what clients send as `reference_audio_id`."""

    id: str
    name: str
    gender: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Abilities of an engine. The server refuses, or does itself, what the engine cannot do.

    name: of the engine, in logs and answers.
    modes: the API modes that `SynthesisOptions.mode` may have.
    instruct: "free" (a model reads the instruction), "keywords" (some words are understood), "none".
    speed, pitch: whether the engine changes them itself; else the server changes them in the sound.
    word_times: whether chunks carry `words`.
    languages: BCP-47 tags; empty if they depend on the checkpoint.
    sample_rate: Hz of the PCM that its sessions yield.
    voices: those that `builtin_prompt` knows.
    models: names of the published model that speaks; empty for an engine that stands in for any.
    spells: alphabets of `SpellingEngine.spelled`.
    """

    name: str
    modes: frozenset[str]
    instruct: str
    speed: bool
    word_times: bool
    languages: tuple[str, ...]
    sample_rate: int
    voices: tuple[BuiltinVoice, ...] = ()
    pitch: bool = False
    models: tuple[str, ...] = ()
    spells: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TranscribedClip:
    """A decoded clip and its transcript, from which an engine makes a prompt.

    content_id: a digest of samples and text; equal content has an equal id. sample_rate: Hz.
    text: the transcript, "" if it is not known.
    """

    content_id: str
    samples: Samples
    sample_rate: int
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input that an engine conditions speech with, made from a clip or built in.

    content_id: that of the clip, or an id of the engine's own. data: opaque to the server.
    """

    content_id: str
    data: object = None


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """Options of a task.

    mode: one of `Capabilities.modes`. instruct: the instruction, "" for none. speed, pitch: factors;
    1.0 is the voice's own. seed: of all random numbers; the same seed, text, prompt and options give
    the same speech. None: the engine chooses. tenant: whose text it is: what an engine remembers of a
    tenant's text speeds up no other's, because the time would tell what was said.
    """

    mode: str = "fast_replication"
    instruct: str = ""
    speed: float = 1.0
    seed: int | None = None
    pitch: float = 1.0
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class WordTime:
    """The time of the word text[text_begin:text_end]. begin, end: seconds of the task's speech."""

    begin: float
    end: float
    text_begin: int
    text_end: int


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """A sentence of the task's text, as it was fed: text[text_begin:text_end].

    number: counts from 0. text_end: as far as it is known when the segment begins to sound; if the
    text is not complete then, the next segment's text_begin shows where this one ended.
    """

    number: int
    text_begin: int
    text_end: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place in the speech. at: seconds of the task's speech."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Work:
    """Work spent on a chunk: seconds by stage, 0 for a stage that the engine lacks.

    queue: waiting for a worker or the device. tokens: speech tokens in the chunk, a count.
    """

    queue: float = 0.0
    lm: float = 0.0
    flow: float = 0.0
    vocoder: float = 0.0
    tokens: int = 0

    @property
    def generate(self) -> float:
        """Seconds of model work: every stage but the queue."""
        return self.lm + self.flow + self.vocoder

    def __add__(self, other: Work) -> Work:
        return Work(
            self.queue + other.queue,
            self.lm + other.lm,
            self.flow + other.flow,
            self.vocoder + other.vocoder,
            self.tokens + other.tokens,
        )


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """The next stretch of speech; never empty.

    samples: at the engine's sample rate. work: what this chunk took. words, segments: those that begin
    in it, if the engine knows. marks: those that lie in it.
    """

    samples: Samples
    work: Work = field(default_factory=Work)
    words: tuple[WordTime, ...] = ()
    segments: tuple[SpokenSegment, ...] = ()
    marks: tuple[Mark, ...] = ()


class Session(Protocol):
    """The engine's side of one task: text in, speech out, both at once.

    An async context manager: leaving it cancels what still runs. Iterating it yields the speech, in
    order; one iterator at a time. The iteration

    - ends after `finish`, when everything is spoken,
    - ends at once after `cancel`,
    - raises EngineError if the engine fails; speech that was yielded before remains valid.

    The reader sets the pace: an engine may work ahead by a bounded amount, then it waits. What is
    spoken does not depend on the deltas in which the text arrives, only on the text and its flushes.
    """

    async def feed(self, text: str) -> None:
        """Take the next delta of the text, joined to what came before. Never waits for synthesis."""

    async def flush(self) -> None:
        """Speak the text received so far: a sentence ends here. More text may follow."""

    async def finish(self) -> None:
        """End the text. Idempotent. `feed` must not be called afterwards."""

    async def cancel(self) -> None:
        """Stop and free everything. Idempotent and safe at any time; the other methods then do nothing."""

    def __aiter__(self) -> AsyncIterator[PcmChunk]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class CancelsOnExit(ABC):
    """Base of sessions: makes them the context manager that `Session` asks for."""

    @abstractmethod
    async def cancel(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cancel()


class Engine(Protocol):
    """A speech engine; one per server process. Its methods are called on the event loop."""

    @property
    def capabilities(self) -> Capabilities:
        """Constant once `start` has returned."""

    @property
    def ready(self) -> bool:
        """Whether a session opened now would be served."""

    async def start(self) -> None:
        """Load what the engine needs. Raises EngineNotReady if it cannot run."""

    async def stop(self) -> None:
        """Fail the open sessions with EngineNotReady and free everything. Idempotent."""

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        """Make the prompt of a clip and cache it by content_id. Heavy work stays off the event loop.

        Raises InvalidReference, EngineNotReady.
        """

    def cached_prompt(self, content_id: str) -> Prompt | None:
        """The prompt of a clip that was prepared before, None if it is not cached any more."""

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        """The prompt of the built-in voice with this id, None if there is none."""

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges for the metrics page, by name: `worker_restarts_total`, `queue_depth`, ..."""

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> Session:
        """Begin a task. Returns at once; waits and work happen in the session.

        Raises EngineNotReady, EngineBusy, UnsupportedRequest.
        """


@runtime_checkable
class PhoneticEngine(Protocol):
    """An engine that also speaks phonetic transcriptions. Test for it with `isinstance`.

    Alphabets: "py" is pinyin, one syllable at a time with a tone number (ni3 hao3) or mark (nǐ hǎo);
    "ipa" is the International Phonetic Alphabet.
    """

    def reads(self, alphabet: str, sounds: str) -> bool:
        """Whether the engine has every sound of the transcription."""

    def open_phonetic(self, prompt: Prompt, options: SynthesisOptions, alphabet: str) -> Session:
        """Begin a task whose text is a transcription that it `reads`. Raises what open_session does."""


@runtime_checkable
class SpellingEngine(Protocol):
    """An engine whose texts may spell words by their sounds. Test for it with `isinstance`.

    Alphabets: "py" is pinyin as in PhoneticEngine; "cmu" is the CMU Pronouncing Dictionary's, phonemes with
    stress digits and blanks between (R EH1 D).
    """

    def spelled(self, alphabet: str, sounds: str) -> str | None:
        """What stands for the sounds in a text, None if the engine lacks one of them or the alphabet."""
