"""A CosyVoice 2 engine on a tiny checkpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
from cosyserve.engine.cosyvoice.session import CosyVoiceSession
from cosyserve.engine.interface import PcmChunk, Prompt, Samples, SynthesisOptions, TranscribedClip

RATE = 24000
FAST = "fast_replication"


def clip(seconds: float = 1.2, hertz: float = 180.0) -> Samples:
    """A voiced sound with a little noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(times))
    return (0.3 * np.sin(2 * np.pi * hertz * times) + 0.01 * noise).astype(np.float32)


def reference(content_id: str = "clip", text: str = "hello world") -> TranscribedClip:
    return TranscribedClip(content_id, clip(), RATE, text)


@asynccontextmanager
async def running(model: Path, **options: Any) -> AsyncIterator[CosyVoiceEngine]:
    engine = CosyVoiceEngine(CosyVoiceOptions(model=model, **options))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def read(session: CosyVoiceSession) -> list[PcmChunk]:
    return [chunk async for chunk in session]


async def speak(
    engine: CosyVoiceEngine, voice: Prompt, pieces: list[str], **options: Any
) -> Samples:
    """A whole task's sound."""
    async with engine.open_session(voice, SynthesisOptions(**options)) as session:
        for piece in pieces:
            await session.feed(piece)
        await session.finish()
        chunks = await read(session)
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])
