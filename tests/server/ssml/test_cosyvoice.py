"""SSML on the neural engine, which has neither pitch nor word times of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cosyserve.engine.interface import SynthesisOptions
from cosyserve.server.ssml import open_ssml
from support.engines.cosyvoice import RATE, reference, running
from support.engines.tiny_checkpoint import build


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


async def test_a_document_is_spoken_and_nothing_is_left(tmp_path: Path) -> None:
    text = (
        "<speak>hello <mark name='a'/>world. <prosody pitch='+20%'>the other</prosody>"
        "<break time='900ms'/> <phoneme alphabet='py' ph='ni3'>you</phoneme><mark name='b'/></speak>"
    )
    async with running(build(tmp_path)) as engine:
        voice = await engine.prepare_prompt(reference())
        async with open_ssml(engine, voice, SynthesisOptions(seed=3)) as session:
            await session.feed(text)
            await session.finish()
            chunks = [chunk async for chunk in session]
        stats = engine.stats()
    assert [stats[name] for name in ("sessions", "lm_streams", "memory_leased_bytes")] == [0, 0, 0]
    seconds = sum(len(chunk.samples) for chunk in chunks) / RATE
    sentences = [sentence for chunk in chunks for sentence in chunk.segments]
    assert [session.text(each.text_begin, each.text_end) for each in sentences] == [
        *("hello world.", "the other", "you"),
    ]
    first, last = (mark for chunk in chunks for mark in chunk.marks)
    # A little silence carries a mark at the very end.
    assert 0 < first.at < last.at == pytest.approx(seconds - 0.01)
    pause = [chunk for chunk in chunks if len(chunk.samples) and not chunk.samples.any()]
    assert round(0.9 * RATE) in [len(chunk.samples) for chunk in pause]
    assert len(session.notices) == 2
    assert "'ni3' in py" in session.notices[0]
    assert "estimates" in session.notices[1]
