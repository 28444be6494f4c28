from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cosyserve.engine.interface import BuiltinVoice, InvalidReference, Prompt
from cosyserve.protocol.errors import InvalidParameter, ReferenceAudioNotFound
from cosyserve.server.voices import Reference, open_store
from cosyserve.server.voices.book import HostedVoices, VoiceBook
from cosyserve.server.voices.clip import prompt_id
from support.engines.fake_engine import FakeEngine
from support.listening.audio import make_file, speechlike
from support.peers.uploads import LIMITS

ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
DIGEST = prompt_id("alice", "digest")
HOSTED = HostedVoices(re.compile("anybody|anna"), default=None)


async def book(engine: FakeEngine, folder: Path) -> VoiceBook:
    store = open_store(str(folder))
    await store.start()
    clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
    stored = Reference(ID, "alice", "a.wav", len(clip), 1, "text", "digest", name="anna")
    await store.put(stored, clip)
    return VoiceBook(engine, store, LIMITS)


async def test_a_builtin_name_needs_no_store(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    assert (await voices.resolve("bob", "plain")).content_id == "plain"


@pytest.mark.parametrize("wanted", ["Plain", "PLAIN", "pLaIn"])
async def test_a_builtin_voice_is_found_by_name_in_any_case(tmp_path: Path, wanted: str) -> None:
    voices = await book(FakeEngine(), tmp_path)
    assert (await voices.resolve("bob", wanted)).content_id == "plain"


async def test_a_reference_is_found_by_its_name(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    for wanted in ("anna", " anna\n"):
        assert (await voices.resolve("alice", wanted)).content_id == DIGEST
        assert (await voices.resolve(None, wanted)).content_id == "digest"


async def test_a_builtin_voice_goes_before_a_reference_of_its_name(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    engine.capabilities = replace(
        engine.capabilities, voices=(BuiltinVoice("plain", "Anna", "female"),)
    )
    assert (await voices.resolve("alice", "anna")).content_id == "plain"
    assert (await voices.resolve("alice", ID)).content_id == DIGEST


@pytest.mark.parametrize("owner", ["alice", "bob", None])
@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "nobody",
        "Anna",
        "anna\0",
        "../anna",
        "..",
        "a\\anna",
        f"{ID}.clip",
        ID.upper(),
        "x" * 128,
    ],
)
async def test_whatever_is_no_voice_is_not_found(
    tmp_path: Path, wanted: str, owner: str | None
) -> None:
    voices = await book(FakeEngine(), tmp_path)
    with pytest.raises(ReferenceAudioNotFound) as refused:
        await voices.resolve(owner, wanted)
    assert refused.value.message == f"no voice has the id or name {wanted[:64]!r}"


async def test_another_owners_voice_is_not_found_in_the_same_words(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    for wanted in (ID, "anna"):
        await voices.resolve("alice", wanted)
        with pytest.raises(ReferenceAudioNotFound) as refused:
            await voices.resolve("bob", wanted)
        assert refused.value.message == f"no voice has the id or name {wanted!r}"


async def test_a_name_is_kept_as_it_is_looked_up(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    assert voices.check_name("  Zoe\u0308 ") == "Zo\u00eb"


@pytest.mark.parametrize("name", ["plain", "Plain", " PLAIN "])
async def test_the_name_of_a_builtin_voice_is_refused(tmp_path: Path, name: str) -> None:
    voices = await book(FakeEngine(), tmp_path)
    with pytest.raises(InvalidParameter, match=r"^name: .* is a built-in voice here; allowed: "):
        voices.check_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a\0b", ID, "x" * 5000])
async def test_what_can_be_no_name_is_refused_with_what_is_allowed(
    tmp_path: Path, name: str
) -> None:
    voices = await book(FakeEngine(), tmp_path)
    with pytest.raises(InvalidParameter, match=r"^name: .*; allowed: 1 to 64 printable") as refused:
        voices.check_name(name)
    assert len(refused.value.message) < 250


async def test_a_clip_is_prepared_once_however_many_ask(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    found = await asyncio.gather(*(voices.resolve("alice", ID) for _ in range(10)))
    assert {voice.content_id for voice in found} == {DIGEST}
    await voices.resolve("alice", ID)
    assert engine.prepared == [DIGEST]


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    engine.refuses = InvalidReference("no")
    with pytest.raises(InvalidReference):
        await voices.resolve("alice", ID)
    engine.refuses = None
    assert (await voices.resolve("alice", ID)).content_id == DIGEST


async def test_the_others_keep_waiting_when_one_gives_up(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    first = asyncio.create_task(voices.resolve("alice", ID))
    second = asyncio.create_task(voices.resolve("alice", ID))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).content_id == DIGEST


async def test_what_the_engine_let_go_is_prepared_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    await voices.resolve("alice", ID)
    engine.known.clear()
    assert (await voices.resolve("alice", ID)).content_id == DIGEST
    assert engine.prepared == [DIGEST, DIGEST]


async def test_a_stand_in_is_one_of_the_engines_voices_and_always_the_same(tmp_path: Path) -> None:
    engine = FakeEngine()
    voices = await book(engine, tmp_path)
    for _ in range(2):
        assert await voices.resolve("bob", "anybody", HOSTED) == Prompt("plain")
    engine.capabilities = replace(engine.capabilities, voices=())
    with pytest.raises(ReferenceAudioNotFound, match="'anybody'"):
        await voices.resolve("bob", "anybody", HOSTED)


async def test_a_hosted_name_stands_for_the_default_if_there_is_one(tmp_path: Path) -> None:
    voices = await book(FakeEngine(), tmp_path)
    hosted = replace(HOSTED, default="anna")
    assert await voices.resolve("alice", "anybody", hosted) == Prompt(DIGEST)
    with pytest.raises(
        ReferenceAudioNotFound, match="'anna'"
    ):  # it is alice's, and no other instead
        await voices.resolve("bob", "anybody", hosted)


async def test_only_a_name_that_nobody_has_and_the_service_has_stands_for_another(
    tmp_path: Path,
) -> None:
    voices = await book(FakeEngine(), tmp_path)
    assert await voices.resolve("alice", "anna", HOSTED) == Prompt(DIGEST)
    with pytest.raises(ReferenceAudioNotFound, match="'anybody at all'"):
        await voices.resolve("alice", "anybody at all", HOSTED)
