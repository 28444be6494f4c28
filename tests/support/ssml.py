"""Speaking SSML in tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cosyserve.engine.base import (
    Engine,
    Mark,
    PcmChunk,
    Samples,
    Sentence,
    SynthesisOptions,
    WordTime,
)
from cosyserve.server.ssml import open_ssml


@dataclass(frozen=True)
class Spoken:
    """All of one task. plain: its text as words and sentences count it."""

    chunks: tuple[PcmChunk, ...]
    rate: int
    plain: str
    notices: tuple[str, ...]

    @property
    def samples(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *(c.samples for c in self.chunks)])

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def words(self) -> list[WordTime]:
        return [word for chunk in self.chunks for word in chunk.words]

    @property
    def sentences(self) -> list[Sentence]:
        return [sentence for chunk in self.chunks for sentence in chunk.sentences]

    @property
    def marks(self) -> list[Mark]:
        return [mark for chunk in self.chunks for mark in chunk.marks]

    @property
    def sentence_texts(self) -> list[str]:
        return [self.plain[each.text_begin : each.text_end] for each in self.sentences]


async def speak_ssml(
    engine: Engine,
    documents: str | Iterable[str],
    options: SynthesisOptions | None = None,
    voice: str | None = None,
) -> Spoken:
    """Speak a document, or several with a flush after each, to the end."""
    found = engine.builtin_voice(voice or engine.capabilities.voices[0].id)
    assert found is not None
    async with open_ssml(engine, found, options or SynthesisOptions()) as session:
        for document in [documents] if isinstance(documents, str) else documents:
            await session.feed(document)
            if not isinstance(documents, str):
                await session.flush()
        await session.finish()
        chunks = tuple([chunk async for chunk in session])
        plain = session.text(0, 10**9)
        return Spoken(chunks, engine.capabilities.sample_rate, plain, session.notices)
