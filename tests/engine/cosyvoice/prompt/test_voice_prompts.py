from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.prompt.caches import VoicePromptCache
from cosyserve.engine.cosyvoice.prompt.voice import VoicePrompt
from cosyserve.engine.interface import InvalidReference, TranscribedClip

PLENTY = 1 << 30


def reference(name: str) -> TranscribedClip:
    return TranscribedClip(name, np.zeros(1, np.float32), 24000, "")


def files(folder: Path, pattern: str = "*.safetensors") -> list[Path]:
    return [path for path in folder.rglob(pattern) if path.is_file()]


class Preparer:
    """Makes empty voices, counts them, and can be held up."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None

    def __call__(self, reference: TranscribedClip) -> VoicePrompt:
        assert self.free.wait(30)
        self.made.append(reference.content_id)
        if self.error is not None:
            raise self.error
        tokens = torch.arange(10, dtype=torch.int32)
        return VoicePrompt(
            reference.content_id, (1, 2), tokens, torch.zeros(20, 80), torch.ones(192)
        )


SIZE = Preparer()(reference("x")).nbytes


async def test_a_voice_is_made_once() -> None:
    preparer = Preparer()
    cache = VoicePromptCache(preparer, model="m", memory_bytes=PLENTY)
    first = await cache.get(reference("a"))
    assert await cache.get(reference("a")) is first
    assert preparer.made == ["a"]
    assert (cache.counts.misses, cache.counts.memory_hits) == (1, 1)
    assert cache.nbytes == first.nbytes


async def test_many_callers_share_the_work() -> None:
    preparer = Preparer()
    preparer.free.clear()
    cache = VoicePromptCache(preparer, model="m", memory_bytes=PLENTY)
    callers = [asyncio.create_task(cache.get(reference("a"))) for _ in range(20)]
    await asyncio.sleep(0)
    preparer.free.set()
    assert len({id(voice) for voice in await asyncio.gather(*callers)}) == 1
    assert preparer.made == ["a"]


async def test_cancelling_one_caller_leaves_the_others() -> None:
    preparer = Preparer()
    preparer.free.clear()
    cache = VoicePromptCache(preparer, model="m", memory_bytes=PLENTY)
    leaving, staying = (asyncio.create_task(cache.get(reference("a"))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    preparer.free.set()
    assert (await staying).content_id == "a"
    await cache.close()


async def test_failures_are_told_to_all_and_not_remembered() -> None:
    preparer = Preparer()
    preparer.error = InvalidReference("silent")
    cache = VoicePromptCache(preparer, model="m", memory_bytes=PLENTY)
    found = await asyncio.gather(
        *(cache.get(reference("a")) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(error, InvalidReference) for error in found)
    preparer.error = None
    assert (await cache.get(reference("a"))).content_id == "a"


async def test_memory_holds_the_voices_used_last() -> None:
    preparer = Preparer()
    cache = VoicePromptCache(preparer, model="m", memory_bytes=2 * SIZE)
    for name in ("a", "b", "a", "c", "a", "b"):
        await cache.get(reference(name))
        assert cache.nbytes <= 2 * SIZE
    assert preparer.made == ["a", "b", "c", "b"]


async def test_a_voice_larger_than_the_memory_is_still_served() -> None:
    cache = VoicePromptCache(Preparer(), model="m", memory_bytes=SIZE - 1)
    assert (await cache.get(reference("a"))).content_id == "a"
    assert cache.nbytes == 0


async def test_voices_outlive_the_process(tmp_path: Path) -> None:
    first, second, other = Preparer(), Preparer(), Preparer()
    for preparer, model in ((first, "m"), (second, "m"), (other, "n")):
        cache = VoicePromptCache(preparer, model=model, memory_bytes=PLENTY, folder=tmp_path)
        assert (await cache.get(reference("a/../b"))).content_id == "a/../b"
    assert (first.made, second.made, other.made) == (["a/../b"], [], ["a/../b"])
    assert len(files(tmp_path, "*")) == 2


async def test_what_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    left, young = folder / ".left.tmp", folder / ".young.tmp"
    for path in (left, young):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    VoicePromptCache(Preparer(), model="m", memory_bytes=PLENTY, folder=tmp_path)
    assert [path.name for path in folder.iterdir()] == [young.name]


async def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    preparer = Preparer()
    await VoicePromptCache(preparer, model="m", memory_bytes=0, folder=tmp_path).get(reference("a"))
    [path] = files(tmp_path)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], b"x" * 100):
        path.write_bytes(content)
        cache = VoicePromptCache(preparer, model="m", memory_bytes=0, folder=tmp_path)
        await cache.get(reference("a"))
        assert cache.counts.corrupt == 1
        assert VoicePrompt.load(path).content_id == "a"


async def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = VoicePromptCache(Preparer(), model="m", memory_bytes=PLENTY, folder=blocked)
    assert (await cache.get(reference("a"))).content_id == "a"
    assert cache.counts.failed_writes == 1


async def test_the_folder_keeps_the_voices_used_last(tmp_path: Path) -> None:
    preparer = Preparer()
    unbound = VoicePromptCache(preparer, model="m", memory_bytes=0, folder=tmp_path)
    await unbound.get(reference("a"))
    [first] = files(tmp_path)
    await unbound.get(reference("b"))
    os.utime(first, ns=(0, 0))
    limit = 2 * first.stat().st_size
    cache = VoicePromptCache(preparer, model="m", memory_bytes=0, folder=tmp_path, disk_bytes=limit)
    await cache.get(reference("c"))
    assert not first.exists()
    assert len(files(tmp_path)) == 2


async def test_the_folder_has_one_limit_for_the_voices_of_all_models(tmp_path: Path) -> None:
    earlier = VoicePromptCache(Preparer(), model="m", memory_bytes=0, folder=tmp_path)
    await earlier.get(reference("a"))
    [first] = files(tmp_path)
    os.utime(first, ns=(0, 0))
    limit = first.stat().st_size
    cache = VoicePromptCache(
        Preparer(), model="n", memory_bytes=0, folder=tmp_path, disk_bytes=limit
    )
    await cache.get(reference("b"))
    assert not first.exists()
    assert [path.parent.name for path in files(tmp_path)] == ["n"]
