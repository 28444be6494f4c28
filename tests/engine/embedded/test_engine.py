from dataclasses import replace

import numpy as np
import pytest

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.options import EmbeddedOptions
from cosyserve.engine.embedded.pitch import median_f0
from cosyserve.engine.interface import (
    EngineNotReady,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
)
from support.engines.embedded import RATE, running, speak
from support.listening.speech import rank_by_dtw, recognise

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "It is easy to tell the depth of a well.",
    "Rice is often served in round bowls.",
    "Four hours of steady work faced us.",
)
INSTRUCTED = "natural_language_replication"


def instructed(instruct: str) -> SynthesisOptions:
    return SynthesisOptions(mode=INSTRUCTED, instruct=instruct)


@pytest.mark.parametrize("speed", [0.75, 1.0, 1.5])
async def test_english_is_understood(engine: EmbeddedEngine, speed: float) -> None:
    for sentence in SENTENCES:
        words = [word + " " for word in sentence.split(" ")]
        speech = await speak(engine, words, options=SynthesisOptions(speed=speed))
        assert recognise(speech.samples, RATE, SENTENCES) == sentence


async def test_the_wrong_sentence_is_not_heard(engine: EmbeddedEngine) -> None:
    speech = await speak(engine, SENTENCES[0])
    assert recognise(speech.samples, RATE, SENTENCES[1:]) == ""


async def test_mandarin_sounds_like_itself_in_another_voice_and_pace(
    engine: EmbeddedEngine,
) -> None:
    texts = ["今天天气很好，我们去公园吧。", "明天下午三点开会。", "他喜欢吃苹果和香蕉。"]
    candidates = [(await speak(engine, text)).samples for text in texts]
    for index, text in enumerate(texts):
        speech = await speak(engine, text, "bruno", SynthesisOptions(speed=1.3))
        assert rank_by_dtw(speech.samples, candidates) == index


@pytest.mark.parametrize(
    "text",
    ["你好世界", "カタカナです", "Привет, мир", "안녕하세요", "Γειά σου", "नमस्ते", "مرحبا", "שלום"],
)
async def test_scripts_are_read_in_their_languages(engine: EmbeddedEngine, text: str) -> None:
    speech = await speak(engine, text)
    # A voice that does not know the script spells it out, which takes many times as long.
    assert 0.3 < speech.seconds < 2


async def test_cantonese_by_instruction_and_by_default(engine: EmbeddedEngine) -> None:
    text = "今天天气很好，我们去公园吧。"
    mandarin = (await speak(engine, text)).samples
    cantonese = (await speak(engine, text, options=instructed("用广东话说"))).samples
    assert len(mandarin) != len(cantonese)
    async with running(default_language="yue") as other:
        assert (await speak(other, text)).samples.tobytes() == cantonese.tobytes()


@pytest.mark.parametrize(
    "text",
    ["Glue the sheet to the dark blue background of the old house.", "今天天气很好我们去公园"],
)
async def test_speed_sets_the_length(engine: EmbeddedEngine, text: str) -> None:
    normal = (await speak(engine, text)).seconds
    for speed in (0.5, 0.75, 1.25, 1.5, 2.0):
        seconds = (await speak(engine, text, options=SynthesisOptions(speed=speed))).seconds
        assert seconds * speed == pytest.approx(normal, rel=0.05)


async def test_the_pitch_is_that_of_the_reference(engine: EmbeddedEngine) -> None:
    for f0 in (85.0, 110.0, 140.0, 175.0, 220.0, 290.0):
        voice = await engine.prepare_prompt(clip(f0))
        speech = await speak(engine, SENTENCES[0] + " " + SENTENCES[1], voice)
        assert median_f0(speech.samples, RATE) == pytest.approx(f0, rel=0.06)


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.1, 1.5, 1.75])
async def test_pitch_is_a_factor_on_the_voices_own(engine: EmbeddedEngine, factor: float) -> None:
    for voice in ("alba", "diego", await engine.prepare_prompt(clip(230.0 / factor))):
        plain = await speak(engine, SENTENCES[0], voice)
        moved = await speak(engine, SENTENCES[0], voice, SynthesisOptions(pitch=factor))
        f0 = [median_f0(speech.samples, RATE) for speech in (plain, moved)]
        assert f0[1] == pytest.approx((f0[0] or 0) * factor, rel=0.03)
        assert moved.seconds == pytest.approx(plain.seconds, rel=0.02)
        assert moved.samples.std() == pytest.approx(plain.samples.std(), rel=0.15)


@pytest.mark.parametrize("factor", [0.5, 2.0])
async def test_a_voice_an_octave_off_still_speaks(engine: EmbeddedEngine, factor: float) -> None:
    for voice in engine.capabilities.voices:
        speech = await speak(engine, SENTENCES[0], voice.id, SynthesisOptions(pitch=factor))
        assert 1.5 < speech.seconds < 4
        assert np.abs(speech.samples).max() < 1


async def test_a_whisper_has_no_pitch(engine: EmbeddedEngine) -> None:
    options = instructed("whisper")
    plain = await speak(engine, "Hello.", options=options)
    moved = await speak(engine, "Hello.", options=replace(options, pitch=1.5))
    assert median_f0(moved.samples, RATE) == median_f0(plain.samples, RATE)


async def test_a_reference_without_pitch_gets_the_default_voice(engine: EmbeddedEngine) -> None:
    noise = np.random.default_rng(1).standard_normal(32000).astype(np.float32) / 5
    voice = await engine.prepare_prompt(TranscribedClip("noise", noise, 16000, ""))
    speech = await speak(engine, "Hello.", voice)
    assert (speech.samples == (await speak(engine, "Hello.", "hanna")).samples).all()


async def test_voices_are_remembered_up_to_a_number() -> None:
    engine = EmbeddedEngine(EmbeddedOptions(remembered_voices=2))
    first = await engine.prepare_prompt(clip(100.0))
    assert await engine.prepare_prompt(clip(100.0)) is first
    assert engine.cached_prompt(first.content_id) is first
    for f0 in (150.0, 200.0):
        await engine.prepare_prompt(clip(f0))
    assert engine.cached_prompt(first.content_id) is None
    again = await engine.prepare_prompt(clip(100.0))
    assert again is not first
    assert again == first


async def test_instructions_are_followed(engine: EmbeddedEngine) -> None:
    text = SENTENCES[0]
    plain = (await speak(engine, text)).samples
    slow = (await speak(engine, text, options=instructed("说慢一点"))).samples
    high = (await speak(engine, text, options=instructed("a higher pitch"))).samples
    soft = (await speak(engine, text, options=instructed("softly"))).samples
    whisper = (await speak(engine, text, options=instructed("whisper"))).samples
    assert len(slow) > 1.05 * len(plain)
    plain_f0, high_f0 = median_f0(plain, RATE), median_f0(high, RATE)
    assert plain_f0 is not None
    assert high_f0 is not None
    assert high_f0 > 1.1 * plain_f0
    assert soft.std() < 0.8 * plain.std()
    assert len(whisper) != len(plain)
    ignored = SynthesisOptions(instruct="slowly")
    assert (await speak(engine, text, options=ignored)).samples.tobytes() == plain.tobytes()


async def test_all_builtin_voices_speak_about_as_loud(engine: EmbeddedEngine) -> None:
    speeches = {
        voice.id: (await speak(engine, SENTENCES[0], voice.id)).samples
        for voice in engine.capabilities.voices
    }
    assert len({samples.tobytes() for samples in speeches.values()}) == len(speeches)
    levels = [float(samples.std()) for samples in speeches.values()]
    assert max(levels) < 1.5 * min(levels)
    assert all(float(np.abs(samples).max()) < 1 for samples in speeches.values())


async def test_what_it_says_of_itself(engine: EmbeddedEngine) -> None:
    capabilities = engine.capabilities
    assert capabilities.sample_rate == RATE
    assert capabilities.instruct == "keywords"
    assert {"cmn", "yue", "ja"} <= set(capabilities.languages)
    assert engine.ready
    assert engine.builtin_prompt("nobody") is None
    assert engine.stats()["workers"] == 1


async def test_requests_it_cannot_serve(engine: EmbeddedEngine) -> None:
    with pytest.raises(UnsupportedRequest):
        engine.open_session(Prompt("x"), SynthesisOptions(mode="sing"))
    with pytest.raises(UnsupportedRequest, match="pitch"):
        engine.open_session(Prompt("x"), SynthesisOptions(pitch=2.5))
    with pytest.raises(EngineNotReady):
        EmbeddedEngine().open_session(Prompt("x"), SynthesisOptions())
    with pytest.raises(ValueError, match="default_language"):
        EmbeddedEngine(EmbeddedOptions(default_language="xx-nonsense"))


def clip(f0: float) -> TranscribedClip:
    """A steady voice of this pitch."""
    times = np.arange(RATE) / RATE
    harmonics = np.arange(1, int(4000 / f0) + 1)[:, None]
    sound = (np.sin(2 * np.pi * f0 * harmonics * times) / harmonics).sum(axis=0) / 5
    return TranscribedClip(f"clip {f0}", sound.astype(np.float32), RATE, "")
