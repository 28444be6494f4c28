"""What a session has spoken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosyserve.engine.interface import Mark, PcmChunk, Samples, SpokenSegment, WordTime


@dataclass(frozen=True)
class Spoken:
    """All of one task."""

    chunks: tuple[PcmChunk, ...]
    rate: int

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
    def sentences(self) -> list[SpokenSegment]:
        return [sentence for chunk in self.chunks for sentence in chunk.segments]

    @property
    def marks(self) -> list[Mark]:
        return [mark for chunk in self.chunks for mark in chunk.marks]
