"""The whole engine on a tiny checkpoint: text in, sound out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import torch

from cosyserve.engine.cosyvoice.engine import CROSS_LINGUAL, INSTRUCTED, CosyVoiceEngine
from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
from cosyserve.engine.interface import (
    EngineBusy,
    EngineDied,
    EngineError,
    EngineNotReady,
    InvalidReference,
    Prompt,
    Samples,
    SpokenSegment,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
)
from support.engines.cosyvoice import FAST, RATE, clip, read, reference, running, speak
from support.engines.tiny_checkpoint import TINY

TEXT = "hello world and two."
LONG = "hello world, and the other world is going on and on. " * 6


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["tiny_model", "tiny_model3"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[CosyVoiceEngine]:
    """Of either family."""
    async with running(request.getfixturevalue(request.param), work_ahead=1.5) as engine:
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voice(engine: CosyVoiceEngine) -> Prompt:
    return await engine.prepare_prompt(reference())


def link_all(model: Path, folder: Path) -> None:
    """Put a checkpoint's files into another folder, where one can be replaced."""
    for path in model.iterdir():
        (folder / path.name).symlink_to(path)


def assert_idle(engine: CosyVoiceEngine) -> None:
    """Nothing of any session is left."""
    stats = engine.stats()
    for name in ("sessions", "queue_depth", "unread_seconds", "lm_streams", "lm_slots_used"):
        assert stats[name] == 0, name
    assert stats["memory_leased_bytes"] == 0
    assert stats["session_cache_bytes"] == 0


def assert_same_sound(one: Samples, other: Samples) -> None:
    """The causal vocoder's phase makes of a mel's rounding errors a thousand times as much."""
    assert one.shape == other.shape
    assert np.abs(one - other).max() < 2e-2
    assert np.square(one - other).mean() < 1e-3**2


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("mode", [FAST, CROSS_LINGUAL, INSTRUCTED])
async def test_every_mode_speaks(engine: CosyVoiceEngine, voice: Prompt, mode: str) -> None:
    options = SynthesisOptions(mode=mode, instruct="with joy", seed=5)
    async with engine.open_session(voice, options) as session:
        await session.feed(TEXT)
        await session.finish()
        chunks = await read(session)
    sound = np.concatenate([chunk.samples for chunk in chunks])
    assert sound.dtype == np.float32
    assert 0.5 < len(sound) / RATE < 40
    assert 0.001 < np.abs(sound).max() <= 1.0
    works = [chunk.work for chunk in chunks]
    tokens = sum(work.tokens for work in works)
    assert len(sound) == 960 * tokens
    assert all(work.flow > 0 and work.vocoder > 0 for work in works)
    assert works[0].lm > 0
    assert_idle(engine)


async def test_modes_read_different_prompts(engine: CosyVoiceEngine, voice: Prompt) -> None:
    sounds = [
        await speak(engine, voice, [TEXT], mode=mode, instruct=instruct, seed=5)
        for mode, instruct in ((FAST, ""), (CROSS_LINGUAL, ""), (INSTRUCTED, "low and slow"))
    ]
    assert len({sound.tobytes() for sound in sounds}) == 3


async def test_a_clip_without_its_words_is_not_the_beginning_of_the_text(
    engine: CosyVoiceEngine,
) -> None:
    clip = replace(reference(), content_id="without words", text="")
    wordless = await engine.prepare_prompt(clip)
    fast, cross_lingual = [
        await speak(engine, wordless, [TEXT], mode=mode, instruct="", seed=5)
        for mode in (FAST, CROSS_LINGUAL)
    ]
    assert fast.tobytes() == cross_lingual.tobytes()


async def test_speech_comes_before_the_text_ends(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=1)) as session:
        await session.feed("hello world, and the other world is going on and on and o")
        first = await anext(session)
        assert len(first.samples)
        await session.feed("ther.")
        await session.finish()
        assert await read(session)


@pytest.mark.parametrize("mode", [FAST, CROSS_LINGUAL])
async def test_the_same_seed_gives_the_same_speech_however_the_text_is_cut(
    engine: CosyVoiceEngine, voice: Prompt, mode: str
) -> None:
    words = "hello hello world and. 今天天气 the"
    whole = await speak(engine, voice, [words], mode=mode, seed=7)
    letters = await speak(engine, voice, list(words), mode=mode, seed=7)
    assert_same_sound(whole, letters)
    other = await speak(engine, voice, [words], mode=mode, seed=8)
    assert other.tobytes() != whole.tobytes()


async def test_without_a_seed_speech_varies(engine: CosyVoiceEngine, voice: Prompt) -> None:
    one, other = [await speak(engine, voice, ["hello world."]) for _ in range(2)]
    assert one.tobytes() != other.tobytes()


async def test_slow_and_fast(engine: CosyVoiceEngine, voice: Prompt) -> None:
    plain = await speak(engine, voice, [TEXT], seed=3)
    fast = await speak(engine, voice, [TEXT], seed=3, speed=2.0)
    slow = await speak(engine, voice, [TEXT], seed=3, speed=0.5)
    assert len(fast) == pytest.approx(len(plain) / 2, abs=480)
    assert len(slow) == pytest.approx(len(plain) * 2, abs=480)


async def test_sessions_at_once_do_not_change_each_other(
    engine: CosyVoiceEngine, voice: Prompt
) -> None:
    alone = await speak(engine, voice, [TEXT], seed=11)
    before = engine.stats()
    seeds = [11, 12, 13, 14, 15, 16, 17, 11]
    sounds = await asyncio.gather(*(speak(engine, voice, [TEXT], seed=seed) for seed in seeds))
    assert_same_sound(sounds[0], alone)
    assert_same_sound(sounds[7], alone)
    after = engine.stats()
    rows, batches = (
        after[name] - before[name] for name in ("hop_batch_rows_total", "hop_batches_total")
    )
    assert rows > 1.5 * batches
    assert_idle(engine)


@pytest.mark.parametrize("words", ["", " ", "...!?", "。，！ \n", "\u200b\ufeff"])
async def test_text_with_nothing_to_say(engine: CosyVoiceEngine, voice: Prompt, words: str) -> None:
    assert not len(await speak(engine, voice, [words]))
    assert_idle(engine)


async def test_cancel_frees_everything(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=1)) as session:
        await session.feed(LONG)
        await anext(session)
        assert engine.stats()["session_cache_bytes"] > 0
        await session.cancel()
        assert await read(session) == []
        await session.feed("more")
        await session.finish()
        await session.cancel()
    # A step that was running has ended when another task's has.
    await speak(engine, voice, ["hello world."])
    assert_idle(engine)


async def test_leaving_the_context_cancels(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=1)) as session:
        await session.feed(LONG)
        await anext(session)
    assert engine.stats()["sessions"] == 0
    async with engine.open_session(voice, SynthesisOptions()):
        pass
    await speak(engine, voice, ["hello world."])
    assert_idle(engine)


async def test_a_reader_that_gives_up_waiting_loses_nothing(
    engine: CosyVoiceEngine, voice: Prompt
) -> None:
    whole = await speak(engine, voice, [TEXT], seed=4)
    async with engine.open_session(voice, SynthesisOptions(seed=4)) as session:
        await session.feed(TEXT)
        await session.finish()
        waiting = asyncio.create_task(anext(session))
        await asyncio.sleep(0)
        waiting.cancel()
        chunks = await read(session)
    assert_same_sound(np.concatenate([chunk.samples for chunk in chunks]), whole)


async def test_a_slow_reader_is_not_spoken_to_without_bound(
    engine: CosyVoiceEngine, voice: Prompt
) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=2)) as session:
        await session.feed(LONG * 3)
        await session.finish()
        while session.unread < 1.5:
            await speak(engine, voice, ["hello world."])
        unread = session.unread
        await speak(engine, voice, [TEXT])
        assert session.unread == unread
        assert unread < 1.5 + 5.0
        await anext(session)
        assert session.unread < unread


async def test_a_flush_ends_an_utterance(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=5)) as session:
        await session.flush()
        await session.feed("hello")
        await session.flush()
        first = await anext(session)
        assert first.segments == (SpokenSegment(0, 0, 5),)
        await session.feed(" world and")
        await session.flush()
        await session.finish()
        await session.flush()
        sentences = [sentence for chunk in await read(session) for sentence in chunk.segments]
    assert sentences == [SpokenSegment(1, 6, 15)]
    assert_idle(engine)


async def test_sentences_cover_the_text(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions(seed=5)) as session:
        await session.feed(LONG)
        await session.finish()
        chunks = await read(session)
    sentences = [sentence for chunk in chunks for sentence in chunk.segments]
    assert [sentence.number for sentence in sentences] == list(range(len(sentences)))
    assert len(sentences) > 1
    assert chunks[0].segments[0].text_begin == 0
    assert sentences[-1].text_end == len(LONG.rstrip())
    for one, other in pairwise(sentences):
        assert one.text_begin < one.text_end <= other.text_begin


async def test_text_after_finish_is_refused(engine: CosyVoiceEngine, voice: Prompt) -> None:
    async with engine.open_session(voice, SynthesisOptions()) as session:
        await session.finish()
        await session.finish()
        with pytest.raises(ValueError, match="finished"):
            await session.feed("more")
        assert await read(session) == []


async def test_a_failing_batch_takes_only_whom_it_must(
    engine: CosyVoiceEngine, voice: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await engine.prepare_prompt(TranscribedClip("bad", clip(hertz=300.0), RATE, "hello"))
    assert engine._running is not None
    flow = engine._running.flow
    step = flow.step
    broken = (await engine._running.flow_prompts.acquire(bad.data)).speaker  # type: ignore[arg-type]

    def failing(states: list[object], *rest: object) -> object:
        if any(state.prompt.speaker is broken for state in states):  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("none left")
        return step(states, *rest)  # type: ignore[arg-type]

    good = await speak(engine, voice, [TEXT], seed=6)
    monkeypatch.setattr(flow, "step", failing)
    ends = await asyncio.gather(
        *(speak(engine, one, [TEXT], seed=6) for one in (voice, bad, voice)),
        return_exceptions=True,
    )
    assert isinstance(ends[1], EngineDied)
    assert "memory" in str(ends[1])
    for sound in (ends[0], ends[2]):
        assert not isinstance(sound, BaseException)
        assert_same_sound(sound, good)
    assert_idle(engine)
    monkeypatch.undo()
    assert len(await speak(engine, bad, ["hello world."]))


@pytest.mark.parametrize(
    "samples",
    [np.zeros(RATE * 2, np.float32), clip(0.1), clip(31.0), np.full(RATE * 2, np.nan, np.float32)],
)
async def test_a_bad_reference_says_why_and_nothing_else_happens(
    engine: CosyVoiceEngine, voice: Prompt, samples: Samples
) -> None:
    with pytest.raises(InvalidReference, match="reference"):
        await engine.prepare_prompt(TranscribedClip("broken", samples, RATE, "hello"))
    assert len(await speak(engine, voice, ["hello world."]))


async def test_what_cannot_be_asked(engine: CosyVoiceEngine, voice: Prompt) -> None:
    for wrong in (SynthesisOptions(mode="singing"), SynthesisOptions(speed=3.0)):
        with pytest.raises(UnsupportedRequest):
            engine.open_session(voice, wrong)
    with pytest.raises(UnsupportedRequest):
        engine.open_session(Prompt("another engine's"), SynthesisOptions())
    assert engine.builtin_prompt("none") is None
    assert_idle(engine)


async def test_an_instruction_too_long_fails_its_session_only(
    engine: CosyVoiceEngine, voice: Prompt
) -> None:
    with pytest.raises(EngineError):
        await speak(engine, voice, [TEXT], mode=INSTRUCTED, instruct="xkcd " * 450)
    assert len(await speak(engine, voice, ["hello world."]))
    assert_idle(engine)


async def test_what_runs_fails_when_the_engine_stops(tiny_model: Path) -> None:
    async with running(tiny_model) as engine:
        assert engine.ready
        assert engine.cached_prompt(reference().content_id) is None
        voice = await engine.prepare_prompt(reference())
        assert engine.cached_prompt(voice.content_id) == voice
        session = engine.open_session(voice, SynthesisOptions())
        await session.feed(LONG)
        await engine.stop()
        assert not engine.ready
        assert engine.cached_prompt(voice.content_id) is None
        with pytest.raises(EngineNotReady):
            await read(session)
        with pytest.raises(EngineNotReady):
            engine.open_session(voice, SynthesisOptions())
        with pytest.raises(EngineNotReady):
            await engine.prepare_prompt(reference())
        assert engine.stats() == {}


async def test_it_can_be_started_again(tiny_model: Path) -> None:
    async with running(tiny_model) as engine:
        await engine.stop()
        await engine.start()
        await engine.start()
        voice = await engine.prepare_prompt(reference())
        assert len(await speak(engine, voice, ["hello world."]))


async def test_a_voice_is_kept_on_disk(tiny_model: Path, tmp_path: Path) -> None:
    sounds = []
    for hits in (0, 1):
        async with running(tiny_model, voice_folder=tmp_path) as engine:
            voice = await engine.prepare_prompt(reference())
            assert engine.stats()["voice_disk_hits_total"] == hits
            assert engine.stats()["voice_misses_total"] == 1 - hits
            sounds.append(await speak(engine, voice, ["hello world."], seed=1))
    assert_same_sound(*sounds)


async def test_the_folder_of_voices_has_a_limit(tiny_model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        async with running(tiny_model, voice_folder=tmp_path, voice_folder_bytes=1) as engine:
            await engine.prepare_prompt(reference())
            assert engine.stats()["voice_misses_total"] == 1


@pytest.mark.parametrize("overflow", ["window", "recompute"])
async def test_beyond_the_budget_speech_goes_on(tiny_model: Path, overflow: str) -> None:
    async with running(tiny_model, max_batch=4) as engine:
        voice = await engine.prepare_prompt(reference())
        exact = await speak(engine, voice, [TEXT], seed=9)
        assert engine._running is not None
        needed = engine._running.memory.admit(0).reserved
    async with running(
        tiny_model,
        device_memory=needed - 1,
        memory_overflow=overflow,
        window_seconds=1.0,
        prompt_cache_bytes=0,
    ) as engine:
        voice = await engine.prepare_prompt(reference())
        sound = await speak(engine, voice, [TEXT], seed=9)
        name = {"window": "sessions_windowed_total", "recompute": "sessions_recomputing_total"}
        assert engine.stats()[name[overflow]] == 1
    if overflow == "recompute":
        assert_same_sound(sound, exact)
    assert len(sound) == len(exact)


async def test_no_memory_no_session(tiny_model: Path) -> None:
    async with running(tiny_model, device_memory=1000) as engine:
        voice = await engine.prepare_prompt(reference())
        with pytest.raises(EngineBusy):
            engine.open_session(voice, SynthesisOptions())
        assert engine.stats()["sessions_refused_total"] == 1
        assert_idle(engine)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lm_backend": "vllm"}, "vLLM"),
        ({"device": "cuda:99"}, "device"),
        ({"device": "toaster"}, "device"),
        ({"model": "/nowhere"}, "model"),
    ],
)
async def test_what_keeps_it_from_starting_is_told(
    tiny_model: Path, options: dict[str, str], reason: str
) -> None:
    made = CosyVoiceEngine(CosyVoiceOptions(**({"model": tiny_model} | options)))  # type: ignore[arg-type]
    with pytest.raises(EngineNotReady, match=reason):
        await made.start()
    assert not made.ready
    with pytest.raises(EngineNotReady):
        await made.prepare_prompt(reference())


async def test_a_broken_checkpoint_is_told(tiny_model: Path, tmp_path: Path) -> None:
    link_all(tiny_model, tmp_path)
    (tmp_path / "flow.pt").unlink()
    (tmp_path / "flow.pt").write_bytes(b"not a checkpoint")
    made = CosyVoiceEngine(CosyVoiceOptions(model=tmp_path))
    with pytest.raises(EngineNotReady, match=r"flow\.pt"):
        await made.start()


async def test_voices_that_the_checkpoint_brings(tiny_model: Path, tmp_path: Path) -> None:
    link_all(tiny_model, tmp_path)
    embedding = torch.randn(1, TINY.flow.speaker_size, generator=torch.Generator().manual_seed(0))
    torch.save({"Ana": {"embedding": embedding}}, tmp_path / "spk2info.pt")
    async with running(tmp_path) as engine:
        assert [voice.id for voice in engine.capabilities.voices] == ["Ana"]
        voice = engine.builtin_prompt("Ana")
        assert voice is not None
        assert len(await speak(engine, voice, ["hello world."]))
    torch.save({"Ana": {"embedding": embedding[:, :7]}}, tmp_path / "spk2info.pt")
    with pytest.raises(EngineNotReady, match="Ana"):
        await CosyVoiceEngine(CosyVoiceOptions(model=tmp_path)).start()
