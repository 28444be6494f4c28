"""English in the natural voice, through the engine, and what happens without it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cosyserve.engine.embedded import engine as engines
from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.frames import SAMPLE_RATE
from cosyserve.engine.embedded.hibari import installation
from cosyserve.engine.embedded.pitch import median_f0
from cosyserve.engine.interface import EngineDied, Samples, SynthesisOptions, TranscribedClip
from support.engines.embedded import check_words, running, speak, voice_of
from support.listening.speech import recognise

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "It is easy to tell the depth of a well.",
    "Rice is often served in round bowls.",
    "Four hours of steady work faced us.",
)
MANDARIN = "今天天气很好，我们去公园吧。"


def level(samples: Samples) -> float:
    """RMS in dB of what is heard of a sound, its silences left out."""
    blocks = samples[: len(samples) // 240 * 240].reshape(-1, 240)
    power = (blocks**2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() / 1000].mean()))


def loaded(pid: int) -> bool:
    """Whether a worker has loaded the natural voice."""
    return "onnxruntime" in Path(f"/proc/{pid}/maps").read_text()


async def test_it_is_the_first_voice(engine: EmbeddedEngine) -> None:
    first, *others = engine.capabilities.voices
    assert (first.id, first.gender) == ("hanna", "female")
    assert {voice.id for voice in others} >= {"alba", "bruno"}
    assert all(map(loaded, engine.worker_pids))


async def test_english_is_understood_whole_and_word_by_word(engine: EmbeddedEngine) -> None:
    for sentence in SENTENCES:
        whole = await speak(engine, sentence, "hanna")
        words = await speak(engine, [f"{word} " for word in sentence.split(" ")], "hanna")
        assert recognise(whole.samples, SAMPLE_RATE, SENTENCES) == sentence
        assert (words.samples == whole.samples).all()
        assert [sentence[w.text_begin : w.text_end] for w in whole.words] == sentence[:-1].split()
        check_words(whole.words, len(sentence), whole.seconds)


async def test_the_seed_is_that_of_its_noise(engine: EmbeddedEngine) -> None:
    first, again, other = [
        (await speak(engine, SENTENCES[0], "hanna", SynthesisOptions(seed=seed))).samples
        for seed in (1, 1, 2)
    ]
    assert (first == again).all()
    assert (first != other).any()


async def test_instructions_are_followed(engine: EmbeddedEngine) -> None:
    async def said(instruct: str) -> Samples:
        options = SynthesisOptions(mode="natural_language_replication", instruct=instruct)
        return (await speak(engine, SENTENCES[0], "hanna", options)).samples

    plain = await said("")
    plain_f0 = median_f0(plain, SAMPLE_RATE)
    assert plain_f0 is not None
    assert len(await said("slowly")) > 1.15 * len(plain)
    assert len(await said("faster")) < 0.87 * len(plain)
    assert level(await said("softly")) < level(plain) - 3
    assert level(await said("loudly")) > level(plain) + 2
    assert median_f0(await said("a lower voice"), SAMPLE_RATE) == pytest.approx(
        plain_f0 * 2 ** (-12 / 50), rel=0.04
    )
    flat, whisper = await said("like a robot"), await said("whisper")
    assert recognise(flat, SAMPLE_RATE, SENTENCES) == SENTENCES[0]
    assert recognise(whisper, SAMPLE_RATE, SENTENCES) == SENTENCES[0]
    assert level(whisper) < level(plain) - 3


async def test_a_reference_gives_its_pitch(engine: EmbeddedEngine) -> None:
    found = {}
    for f0 in (90.0, 130.0, 195.0, 250.0):
        times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        harmonics = np.arange(1, int(4000 / f0) + 1)[:, None]
        sound = (np.sin(2 * np.pi * f0 * harmonics * times) / harmonics).sum(axis=0) / 5
        clip = TranscribedClip(f"{f0}", sound.astype(np.float32), SAMPLE_RATE, "")
        found[f0] = await speak(engine, " ".join(SENTENCES), await engine.prepare_prompt(clip))
        assert median_f0(found[f0].samples, SAMPLE_RATE) == pytest.approx(f0, rel=0.06)
    own = await speak(engine, " ".join(SENTENCES), "hanna")
    assert (found[195.0].samples == own.samples).all()


async def test_other_languages_are_as_loud(engine: EmbeddedEngine) -> None:
    natural = await speak(engine, " ".join(SENTENCES), "hanna")
    alba = await speak(engine, " ".join(SENTENCES), "alba")
    mandarin = await speak(
        engine, MANDARIN + "请把这本书还给图书馆。他每天早上六点起床跑步。", "hanna"
    )
    assert level(natural.samples) == pytest.approx(level(alba.samples), abs=1)
    assert level(natural.samples) == pytest.approx(level(mandarin.samples), abs=2)


async def test_a_sentence_of_two_languages_has_no_click(engine: EmbeddedEngine) -> None:
    text = "She said 你好世界 to the whole class, and 再见 to me."
    speech = await speak(engine, text, "hanna")
    words = [text[word.text_begin : word.text_end] for word in speech.words]
    assert words == [
        *["She", "said"],
        *"你好世界",
        *["to", "the", "whole", "class", "and"],
        *"再见",
        "to",
        "me",
    ]
    check_words(speech.words, len(text), speech.seconds)
    # The steepest slope of each language by itself bounds that of both.
    steepest = 0.0
    for part in ("She said to the whole class, and to me.", "你好世界，再见。"):
        alone = await speak(engine, part, "hanna")
        steepest = max(steepest, float(np.abs(np.diff(alone.samples)).max()))
    assert np.abs(np.diff(speech.samples)).max() < 1.3 * steepest


async def test_what_it_cannot_read_espeak_ng_reads(engine: EmbeddedEngine) -> None:
    long = "It was floccinaucinihilipilificational."
    assert (await speak(engine, long, "hanna")).samples.tobytes() == (
        await speak(engine, long, "alba")
    ).samples.tobytes()


async def test_a_killed_worker_fails_its_session_alone() -> None:
    async with running(workers=1) as engine:
        victim = engine.open_session(voice_of(engine, "hanna"), SynthesisOptions())
        bystander = asyncio.ensure_future(speak(engine, SENTENCES[0], "hanna"))
        await victim.feed("A very long story " * 9)
        await victim.finish()
        await asyncio.sleep(0)
        os.kill(engine.worker_pids[0], signal.SIGKILL)
        with pytest.raises(EngineDied):
            [chunk async for chunk in victim]
        assert (await bystander).seconds > 1
        assert engine.stats()["worker_restarts_total"] == 1


async def test_workers_of_another_language_load_it_when_it_is_needed() -> None:
    async with running(default_language="de") as engine:
        (pid,) = engine.worker_pids
        await speak(engine, "Guten Tag.", "hanna")
        assert not loaded(pid)
    async with running(default_language="zh") as engine:
        (pid,) = engine.worker_pids
        await speak(engine, MANDARIN, "hanna")
        assert not loaded(pid)
        assert (await speak(engine, SENTENCES[0], "hanna")).seconds > 1
        assert loaded(pid)


@pytest.mark.parametrize("missing", [True, False])
async def test_without_it_espeak_ng_speaks_english(
    missing: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if missing:
        monkeypatch.setattr(engines, "hibari_installed", lambda: False)
    async with running(natural_voice=missing) as engine:
        assert engine.builtin_prompt("hanna") is None
        assert engine.capabilities.voices[0].id == "alba"
        speech = await speak(engine, SENTENCES[0], "alba")
        assert recognise(speech.samples, SAMPLE_RATE, SENTENCES) == SENTENCES[0]
        assert not any(map(loaded, engine.worker_pids))
    told = "the natural voice is not installed" in caplog.text
    assert told == missing  # who switched it off knows


@pytest.mark.parametrize("missing", ["hibari", "onnxruntime"])
async def test_it_needs_both_packages(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.hibari_installed()
    monkeypatch.setattr(
        installation.importlib.util, "find_spec", lambda name: None if name == missing else name
    )
    assert not installation.hibari_installed()
