"""An engine that tests hold in their hand: a tone for each word, as fast as it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cosyserve.engine.base import (
    BuiltinVoice,
    Capabilities,
    PcmChunk,
    Reference,
    SynthesisOptions,
    Voice,
    Work,
)
from cosyserve.engine.errors import EngineNotReady, InvalidReference

RATE = 24000
WORD_SECONDS = 0.05


def tone(seconds: float = WORD_SECONDS, rate: int = RATE, hertz: float = 220.0) -> np.ndarray:
    """A sine at a third of full scale."""
    times = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * times) / 3).astype(np.float32)


@dataclass
class FakeSession:
    """Says a tone for each whole word. `gate` holds it back; `error` is raised instead of speech."""

    engine: FakeEngine
    voice: Voice
    options: SynthesisOptions
    text: str = ""
    finished: bool = False
    cancelled: bool = False
    produced: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def feed(self, text: str) -> None:
        self.text += text
        self.changed.set()

    async def finish(self) -> None:
        self.finished = True
        self.changed.set()

    async def cancel(self) -> None:
        self.cancelled = True
        self.changed.set()

    def whole_words(self) -> int:
        words = len(self.text.split())
        return words if self.finished or self.text[-1:].isspace() else max(0, words - 1)

    async def __aiter__(self) -> AsyncIterator[PcmChunk]:
        while not self.cancelled:
            await self.engine.gate.wait()
            if self.engine.error is not None:
                raise self.engine.error
            if self.produced < self.whole_words():
                self.produced += 1
                yield PcmChunk(
                    tone(), Work(queue=0.001, lm=0.002, flow=0.003, vocoder=0.004, tokens=2)
                )
            elif self.finished:
                return
            else:
                self.changed.clear()
                await self.changed.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not (self.finished and self.produced == self.whole_words()):
            await self.cancel()
        self.engine.open.discard(id(self))


class FakeEngine:
    """Keeps every session it opened in `sessions`, and the ids of those still open in `open`."""

    def __init__(self, *, speed: bool = True) -> None:
        self.capabilities = Capabilities(
            name="fake",
            modes=frozenset(
                {"fast_replication", "cross_lingual_replication", "natural_language_replication"}
            ),
            instruct="none",
            speed=speed,
            word_times=False,
            languages=("en",),
            sample_rate=RATE,
            voices=(BuiltinVoice("plain", "Plain", "neutral"),),
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
        self.known: dict[str, Voice] = {}

    async def start(self) -> None:
        self.ready = True

    async def stop(self) -> None:
        self.ready = False

    async def prepare_voice(self, reference: Reference) -> Voice:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.prepared.append(reference.content_id)
        self.known[reference.content_id] = voice = Voice(reference.content_id)
        return voice

    def known_voice(self, content_id: str) -> Voice | None:
        return self.known.get(content_id)

    def builtin_voice(self, voice_id: str) -> Voice | None:
        return Voice("plain") if voice_id == "plain" else None

    def stats(self) -> Mapping[str, float]:
        return {"worker_restarts_total": 0.0}

    def open_session(self, voice: Voice, options: SynthesisOptions) -> FakeSession:
        if not self.ready:
            raise EngineNotReady("the engine is not ready")
        session = FakeSession(self, voice, options)
        self.sessions.append(session)
        self.open.add(id(session))
        self.opened.set()
        return session
