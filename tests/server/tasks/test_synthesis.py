from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cosyserve.engine.interface import EngineDied, Prompt
from cosyserve.protocol.parameters import SpeechParameters
from cosyserve.server.tasks import synthesis
from cosyserve.server.tasks.synthesis import SpokenChunk, Synthesis
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.listening.audio import median_pitch


@pytest.fixture
async def engine() -> FakeEngine:
    engine = FakeEngine()
    await engine.start()
    return engine


async def speak(engine: FakeEngine, text: str, **over: object) -> list[SpokenChunk]:
    parameters = SpeechParameters.model_validate(
        {"mode": "fast_replication", "reference_audio_id": "x", **over}
    )
    with ThreadPoolExecutor(1) as pool:
        synthesis = await Synthesis.open(engine, Prompt("v"), parameters, pool)
        async with synthesis:
            await synthesis.feed(text)
            await synthesis.finish()
            return [chunk async for chunk in synthesis.chunks()]


@pytest.mark.parametrize("audio_format", ["wav", "pcm", "mp3", "opus", "aac", "flac"])
async def test_every_format_accounts_for_all_of_the_speech(
    engine: FakeEngine, audio_format: str
) -> None:
    chunks = await speak(engine, "word " * 40, output_format=audio_format)
    assert all(chunk.data and chunk.seconds > 0 for chunk in chunks)
    whole = 40 * WORD_SECONDS
    assert sum(chunk.seconds for chunk in chunks) == pytest.approx(whole, abs=0.12)
    # No work is lost with the bytes that an encoder holds back.
    assert sum(chunk.work.tokens for chunk in chunks) == 80
    assert sum(chunk.work.generate for chunk in chunks) == pytest.approx(40 * 0.009)


async def test_words_are_told() -> None:
    engine = FakeEngine(word_times=True)
    await engine.start()
    chunks = await speak(engine, "one two")
    assert [word.text for chunk in chunks for word in chunk.words] == ["one", "two"]


async def test_the_options_reach_the_engine(engine: FakeEngine) -> None:
    await speak(
        engine, "x", mode="natural_language_replication", instruct="calm", speed=1.5, seed=7
    )
    options = engine.sessions[0].options
    assert (options.mode, options.instruct) == ("natural_language_replication", "calm")
    assert (options.speed, options.seed) == (1.5, 7)


@pytest.mark.parametrize("native", [True, False])
async def test_pitch_is_made_here_where_the_engine_has_none(native: bool) -> None:
    engine = FakeEngine(pitch=native)
    await engine.start()
    chunks = await speak(engine, "word " * 20, output_format="pcm", pitch=1.5)
    assert sum(chunk.seconds for chunk in chunks) == pytest.approx(20 * WORD_SECONDS, abs=0.001)
    samples = np.frombuffer(b"".join(chunk.data for chunk in chunks), "<i2") / np.float32(32768)
    hertz = 220 if native else 330
    assert median_pitch(samples, RATE) == pytest.approx(hertz, rel=0.03)


async def test_speed_is_made_here_where_the_engine_has_none() -> None:
    engine = FakeEngine(speed=False)
    await engine.start()
    chunks = await speak(engine, "word " * 40, output_format="pcm", speed=2.0)
    assert sum(c.seconds for c in chunks) == pytest.approx(40 * WORD_SECONDS / 2, abs=0.05)


async def test_nothing_to_say_is_a_valid_stream(engine: FakeEngine) -> None:
    chunks = await speak(engine, "", output_format="wav")
    data = b"".join(chunk.data for chunk in chunks)
    assert data.startswith(b"RIFF")
    assert len(data) == 44 + 2 * round(0.02 * RATE)


async def test_leaving_early_cancels_the_session(engine: FakeEngine) -> None:
    parameters = SpeechParameters.model_validate(
        {"mode": "fast_replication", "reference_audio_id": "x"}
    )
    with ThreadPoolExecutor(1) as pool:
        async with await Synthesis.open(engine, Prompt("v"), parameters, pool) as synthesis:
            await synthesis.feed("one two three ")
    assert engine.sessions[0].cancelled
    assert not engine.open


async def test_a_pools_encoder_that_stops_iterating_holds_up_nobody(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise StopIteration

    monkeypatch.setattr(synthesis, "open_encoder", stop)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await speak(engine, "one", output_format="mp3")


async def test_an_engines_failure_comes_through(engine: FakeEngine) -> None:
    engine.error = EngineDied("gone")
    with pytest.raises(EngineDied):
        await speak(engine, "one")
