"""Speaking with the embedded engine in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.options import EmbeddedOptions
from cosyserve.engine.interface import Prompt, Samples, SynthesisOptions, WordTime
from support.listening.spoken import Spoken

RATE = 24000


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[EmbeddedEngine]:
    """An engine, started and at the end stopped."""
    engine = EmbeddedEngine(EmbeddedOptions(**{"workers": 1} | options))  # type: ignore[arg-type]
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def voice_of(engine: EmbeddedEngine, voice_id: str) -> Prompt:
    voice = engine.builtin_prompt(voice_id)
    assert voice is not None
    return voice


async def speak(
    engine: EmbeddedEngine,
    text: str | Iterable[str],
    voice: str | Prompt = "alba",
    options: SynthesisOptions | None = None,
) -> Spoken:
    """Speak a text, or the pieces of one, to the end."""
    chosen = voice_of(engine, voice) if isinstance(voice, str) else voice
    async with engine.open_session(chosen, options or SynthesisOptions()) as session:
        for piece in [text] if isinstance(text, str) else text:
            await session.feed(piece)
        await session.finish()
        return Spoken(tuple([chunk async for chunk in session]), RATE)


def silences(samples: Samples, shortest: float) -> list[tuple[float, float]]:
    """Stretches with hardly any sound of at least `shortest` seconds: where each begins, how long it is."""
    quiet = np.abs(samples) < 0.003
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    stretches = edges.reshape(-1, 2) / RATE
    return [(float(a), float(b - a)) for a, b in stretches if b - a >= shortest]


def check_words(words: list[WordTime], characters: int, seconds: float) -> None:
    """In order, apart, inside the text and the speech."""
    for word in words:
        assert 0 <= word.begin <= word.end <= seconds
        assert 0 <= word.text_begin < word.text_end <= characters
    for one, next_one in pairwise(words):
        assert one.end <= next_one.begin
        assert one.text_end <= next_one.text_begin
