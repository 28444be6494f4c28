from time import perf_counter

from cosyserve.benchmarks.load.timed_engine import SAMPLE_RATE, VOICE, TimedEngine
from cosyserve.engine.interface import Engine, Prompt, SynthesisOptions


async def test_chunks_say_when_they_were_ready() -> None:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=0.01)
    checked: Engine = engine
    voice = checked.builtin_prompt(VOICE)
    assert voice is not None
    assert checked.builtin_prompt("other") is None
    await engine.start()
    try:
        began = perf_counter()
        async with engine.open_session(voice, SynthesisOptions()) as session:
            await session.feed("text")
            await session.feed("more")
            await session.finish()
            chunks = [chunk async for chunk in session]
    finally:
        await engine.stop()
    times = [chunk.work.lm for chunk in chunks]
    assert len(times) == 3
    assert began < times[0] < times[1] < times[2] < perf_counter()
    assert times[2] - began >= 0.02
    assert all(len(chunk.samples) == 0.1 * SAMPLE_RATE for chunk in chunks)


async def test_flat_out_needs_no_clock() -> None:
    engine = TimedEngine(chunks=5, chunk_seconds=0.1, interval=0)
    session = engine.open_session(voice_of(engine), SynthesisOptions())
    await session.feed("text")
    await session.finish()
    began = perf_counter()
    assert all([chunk.work.lm >= began async for chunk in session])


def voice_of(engine: TimedEngine) -> Prompt:
    voice = engine.builtin_prompt(VOICE)
    assert voice is not None
    return voice


async def test_a_cancelled_session_ends() -> None:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=60)
    await engine.start()
    try:
        async with engine.open_session(voice_of(engine), SynthesisOptions()) as session:
            await session.feed("text")
            await session.cancel()
            assert [chunk async for chunk in session] == []
    finally:
        await engine.stop()


async def test_a_session_without_text_ends_without_sound() -> None:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=60)
    session = engine.open_session(voice_of(engine), SynthesisOptions())
    await session.finish()
    assert [chunk async for chunk in session] == []
