"""The interfaces between the server and whatever makes the sound.

Plain values in, plain values out: nothing here holds a socket, a tensor or a process handle, so an
engine may as well live on another machine.

What an engine can fail with. The server gives these their wire codes, in one place.

EngineError
├── EngineNotReady      not started, stopping, or being rebuilt
├── EngineBusy          it has no room for this session now; later it may
├── EngineDied          the process or device behind the session is gone: this session failed
├── UnsupportedRequest  the engine cannot do what was asked; the message says what it can
└── InvalidReference    the clip cannot serve as a voice; the message says why

What an engine may offer besides: to be told a pronunciation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt


class EngineError(Exception):
    """The message is fit for a client: it names no internals."""


class EngineNotReady(EngineError): ...


class EngineBusy(EngineError): ...


class EngineDied(EngineError): ...


class UnsupportedRequest(EngineError): ...


class InvalidReference(EngineError): ...


Samples = npt.NDArray[np.float32]
"""Mono, one dimension, full scale at +-1."""


@dataclass(frozen=True, slots=True)
class BuiltinVoice:
    """A voice that needs no reference; `id` is what clients send as reference_audio_id."""

    id: str
    name: str
    gender: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine really does.

    modes: the API modes it accepts.
    instruct: "free" (a model reads it), "keywords" (a few words are understood), "none".
    speed, pitch: whether it changes its own pace and pitch; else the server does it to the sound.
    word_times: whether chunks carry them.
    languages: BCP-47 tags; empty if it depends on the checkpoint.
    sample_rate: Hz of the PCM it yields.
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


@dataclass(frozen=True, slots=True)
class TranscribedClip:
    """What an engine makes a prompt of: a decoded clip and what is said in it.

    content_id: a digest of sound and text; equal content, equal id.
    """

    content_id: str
    samples: Samples
    sample_rate: int
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an engine made of a reference (or of a built-in voice); opaque to the server."""

    content_id: str
    traits: object = None


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """How to speak. `mode` is one of the API's modes; 1.0 is the voice's own pace and pitch."""

    mode: str = "fast_replication"
    instruct: str = ""
    speed: float = 1.0
    seed: int | None = None
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class WordTime:
    """Where a word lies: seconds from the start of the task's speech, code points in the task's text."""

    begin: float
    end: float
    text_begin: int
    text_end: int


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """A stretch of the task's text that is spoken in one go: whole[text_begin:text_end], in code points.

    number: from 0. text_end: as far as it is known when its sound begins; where a sentence is begun
    before its text is complete, the next one's text_begin tells where it ended.
    """

    number: int
    text_begin: int
    text_end: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place in the speech: seconds from the start of the task's speech."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds spent on a chunk, by stage (0 for a stage the engine lacks), and the speech tokens in it."""

    queue: float = 0.0
    lm: float = 0.0
    flow: float = 0.0
    vocoder: float = 0.0
    tokens: int = 0

    @property
    def generate(self) -> float:
        """Seconds of model work: all but the waiting."""
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
    """Some speech, at the engine's sample rate; never empty.

    words: those that begin in this chunk, where the engine knows. sentences: likewise.
    marks: those that lie in this chunk.
    """

    samples: Samples
    work: Work = field(default_factory=Work)
    words: tuple[WordTime, ...] = ()
    sentences: tuple[SpokenSegment, ...] = ()
    marks: tuple[Mark, ...] = ()


class Session(Protocol):
    """One task's synthesis. An async context manager: leaving it cancels what still runs.

    Iterate it for the speech. Iteration ends after `finish` when everything is spoken, at once after
    `cancel`, and raises EngineError if the engine fails. Only one iterator at a time. It is pulled:
    an engine may work ahead by a bounded amount, then it waits for the reader.
    """

    async def feed(self, text: str) -> None:
        """Take the next piece of text. Never waits for synthesis; pieces are joined as they come."""

    async def flush(self) -> None:
        """Speak what has come so far without waiting for more: a sentence ends here. More may follow."""

    async def finish(self) -> None:
        """Say that no more text comes. Idempotent."""

    async def cancel(self) -> None:
        """Stop and free everything. Idempotent; safe at any time."""

    def __aiter__(self) -> AsyncIterator[PcmChunk]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class CancelsOnExit(ABC):
    """What makes a session the context manager that `Session` asks for."""

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
    """A speech engine; one per server process."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def ready(self) -> bool:
        """Whether new sessions would be served now."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def prepare_voice(self, reference: TranscribedClip) -> Prompt:
        """Make a voice of a clip. Cached by content_id; heavy work stays off the event loop.

        Raises InvalidReference.
        """

    def known_voice(self, content_id: str) -> Prompt | None:
        """The voice of a clip that was prepared before and is still cached, None if it is not."""

    def builtin_voice(self, voice_id: str) -> Prompt | None:
        """The built-in voice of this id, None if there is none."""

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges for the metrics page, by name: `worker_restarts_total`, `queue_depth`, ..."""

    def open_session(self, voice: Prompt, options: SynthesisOptions) -> Session:
        """Begin a task. Raises EngineNotReady, UnsupportedRequest."""


@runtime_checkable
class PhoneticEngine(Protocol):
    """An engine that reads phonetic alphabets. Ask by `isinstance`.

    The alphabets are "py", pinyin, its syllables apart and with a tone's number (ni3 hao3) or sign
    (nǐ hǎo), and "ipa", the International Phonetic Alphabet.
    """

    def reads(self, alphabet: str, sounds: str) -> bool:
        """Whether it has all of these sounds."""

    def open_phonetic(self, voice: Prompt, options: SynthesisOptions, alphabet: str) -> Session:
        """Begin a task whose text is sounds that it `reads`. Raises what open_session does."""
