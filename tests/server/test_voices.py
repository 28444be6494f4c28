from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cosyserve.engine.errors import InvalidReference
from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.server.references import StoredReference, open_store
from cosyserve.server.uploads import ClipLimits
from cosyserve.server.voices import VoiceBook
from support.audio import make_file, speechlike
from support.fake_engine import FakeEngine

ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


async def book(engine: FakeEngine, folder: Path) -> VoiceBook:
    store = open_store(str(folder))
    await store.start()
    clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
    stored = StoredReference(ID, "alice", "a.wav", len(clip), 1, "text", "digest")
    await store.put(stored, clip)
    return VoiceBook(engine, store, ClipLimits())


async def test_a_builtin_name_needs_no_store(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    assert (await voices.resolve("bob", "plain")).content_id == "plain"


async def test_a_clip_is_prepared_once_however_many_ask(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    found = await asyncio.gather(*(voices.resolve("alice", ID) for _ in range(10)))
    assert {voice.content_id for voice in found} == {"digest"}
    await voices.resolve("alice", ID)
    assert engine.prepared == ["digest"]


async def test_another_owner_does_not_get_it_even_when_it_is_known(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    await voices.resolve("alice", ID)
    with pytest.raises(ReferenceAudioNotFound):
        await voices.resolve("bob", ID)


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    engine.refuses = InvalidReference("no")
    with pytest.raises(InvalidReference):
        await voices.resolve("alice", ID)
    engine.refuses = None
    assert (await voices.resolve("alice", ID)).content_id == "digest"


async def test_the_others_keep_waiting_when_one_gives_up(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    first = asyncio.create_task(voices.resolve("alice", ID))
    second = asyncio.create_task(voices.resolve("alice", ID))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).content_id == "digest"


async def test_what_the_engine_let_go_is_prepared_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    await voices.resolve("alice", ID)
    engine.known.clear()
    assert (await voices.resolve("alice", ID)).content_id == "digest"
    assert engine.prepared == ["digest", "digest"]
