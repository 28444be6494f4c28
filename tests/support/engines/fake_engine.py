"""An engine that tests hold in their hand: a tone for each word, as fast as it is read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cosyserve.engine.interface import (
    BuiltinVoice,
    Capabilities,
    EngineNotReady,
    InvalidReference,
    PcmChunk,
    Prompt,
    SpokenSegment,
    SynthesisOptions,
    TranscribedClip,
    WordTime,
    Work,
)

RATE = 24000
WORD_SECONDS = 0.05


def tone(seconds: float = WORD_SECONDS, rate: int = RATE, hertz: float = 220.0) -> np.ndarray:
    """A sine at a third of full scale."""
    times = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * times) / 3).astype(np.float32)


@dataclass
class FakeSession:
    """Says a tone for each whole word. `gate` holds it back; `error` is raised instead of speech.

    A sentence ends at a word with `.`, `!` or `?` last, and where it is flushed.
    """

    engine: FakeEngine
    voice: Prompt
    options: SynthesisOptions
    text: str = ""
    finished: bool = False
    cancelled: bool = False
    produced: int = 0
    sentences: int = 0
    flushes: list[int] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def feed(self, text: str) -> None:
        self.text += text
        self.changed.set()

    async def flush(self) -> None:
        self.flushes.append(len(self.text))
        self.changed.set()

    async def finish(self) -> None:
        self.finished = True
        self.changed.set()

    async def cancel(self) -> None:
        self.cancelled = True
        self.engine.open.discard(id(self))
        self.changed.set()

    def whole_words(self) -> list[tuple[int, int]]:
        """Where the words lie that no text can still change."""
        words, begin = [], 0
        for end in (*self.flushes, len(self.text)):
            found = re.finditer(r"\S+", self.text[begin:end])
            words += [(begin + word.start(), begin + word.end()) for word in found]
            begin = end
        settled = self.finished or begin in self.flushes or self.text[-1:].isspace()
        return words if settled else words[:-1]

    def chunk(self, number: int, words: list[tuple[int, int]]) -> PcmChunk:
        """The sound of a word, the first one's being 0."""
        begin, end = words[number]
        at = number * WORD_SECONDS
        times = (WordTime(at, at + WORD_SECONDS, begin, end),)
        sentences: tuple[SpokenSegment, ...] = ()
        if number == 0 or self._ends(*words[number - 1 : number + 1]):
            last = number
            while last + 1 < len(words) and not self._ends(*words[last : last + 2]):
                last += 1
            sentences = (SpokenSegment(self.sentences, begin, words[last][1]),)
            self.sentences += 1
        return PcmChunk(
            tone(),
            Work(queue=0.001, lm=0.002, flow=0.003, vocoder=0.004, tokens=2),
            times if self.engine.capabilities.word_times else (),
            sentences,
        )

    def _ends(self, word: tuple[int, int], following: tuple[int, int]) -> bool:
        """Whether a sentence ends between these two words."""
        flushed = any(word[1] <= place <= following[0] for place in self.flushes)
        return flushed or self.text[word[1] - 1] in ".!?"

    async def __aiter__(self) -> AsyncIterator[PcmChunk]:
        while not self.cancelled:
            await self.engine.gate.wait()
            if self.cancelled:
                return
            if self.engine.error is not None:
                raise self.engine.error
            words = self.whole_words()
            if self.produced < len(words):
                self.produced += 1
                yield self.chunk(self.produced - 1, words)
            elif self.finished:
                return
            else:
                self.changed.clear()
                await self.changed.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not (self.finished and self.produced == len(self.whole_words())):
            await self.cancel()
        self.engine.open.discard(id(self))


class FakeEngine:
    """Keeps every session it opened in `sessions`, and the ids of those still open in `open`."""

    session_type: type[FakeSession] = FakeSession

    def __init__(
        self, *, speed: bool = True, pitch: bool = False, word_times: bool = False
    ) -> None:
        self.capabilities = Capabilities(
            name="fake",
            modes=frozenset(
                {"fast_replication", "cross_lingual_replication", "natural_language_replication"}
            ),
            instruct="none",
            speed=speed,
            word_times=word_times,
            languages=("en",),
            sample_rate=RATE,
            voices=(BuiltinVoice("plain", "Plain", "neutral"),),
            pitch=pitch,
        )
        self.ready = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.refuses: InvalidReference | None = None
        self.sessions: list[FakeSession] = []
        self.open: set[int] = set()
        self.opened = asyncio.Event()
        self.prepared: list[str] = []
        self.known: dict[str, Prompt] = {}

    async def start(self) -> None:
        self.ready = True

    async def stop(self) -> None:
        self.ready = False

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.prepared.append(clip.content_id)
        self.known[clip.content_id] = voice = Prompt(clip.content_id)
        return voice

    def cached_prompt(self, content_id: str) -> Prompt | None:
        return self.known.get(content_id)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        return Prompt("plain") if voice_id == "plain" else None

    def stats(self) -> Mapping[str, float]:
        return {"worker_restarts_total": 0.0}

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> FakeSession:
        if not self.ready:
            raise EngineNotReady("the engine is not ready")
        session = self.session_type(self, prompt, options)
        self.sessions.append(session)
        self.open.add(id(session))
        self.opened.set()
        return session
