from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from cosyserve.benchmarks.parity.reference import lm as parity
from cosyserve.benchmarks.parity.reference.lm import CLEAN
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.interface import (
    LmFailed,
    LmLoop,
    LmNotFinite,
    LmPrompt,
    LmTooLong,
    SamplingOptions,
)
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchLmSettings, TorchSpeechLM
from cosyserve.engine.interface import EngineDied, EngineNotReady
from support.engines import tiny_lm
from support.engines.tiny_lm import GREEDY, PROMPT, SEEDED, come_and_go, read, running, spoken, text


def options(base: SamplingOptions = SEEDED, **changed: Any) -> SamplingOptions:
    names = SamplingOptions.__dataclass_fields__
    return SamplingOptions(**{**{name: getattr(base, name) for name in names}, **changed})


async def say(
    lm: TorchSpeechLM, ids: Sequence[int], how: SamplingOptions, prompt: LmPrompt = PROMPT
) -> list[int]:
    return await spoken(lm.open(prompt, how), ids)


def tensor(numbers: Sequence[int]) -> torch.Tensor:
    return torch.tensor([list(numbers)])


async def test_greedy_streams_equal_the_parity_loops() -> None:
    ids = text(9)
    texts = tensor(ids), tensor(PROMPT.text_ids), tensor(PROMPT.speech_ids)
    decoder = LmDecoder(tiny_lm.model())
    async with running() as lm:
        whole = parity.inference(decoder, *texts, max_token_text_ratio=5).tokens
        assert await say(lm, ids, options(GREEDY, bistream=False)) == whole
        mixed = await say(lm, ids, GREEDY)

    def until_as_long(scores: torch.Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        spoken = sum(1 for token in decoded if token < decoder.ids.speech_size)
        if spoken == len(mixed) and not eos_masked:
            return decoder.ids.eos
        return int(scores.argmax())

    pieces, *prompt = [tensor(ids)], *texts[1:]
    wanted = parity.inference_bistream(decoder, pieces, *prompt, until_as_long, CLEAN)
    assert mixed == wanted.tokens
    assert len(mixed) == 5 * len(ids)


CROWD = [
    (text(3), options(GREEDY), PROMPT),
    (text(12, 130), options(seed=1), PROMPT),
    (text(7, 150), options(seed=2, bistream=False, top_k=5), LmPrompt()),
    (text(16, 170), options(seed=1, win=25, tau=0.05, top_p=0.95), LmPrompt(tuple(range(3)), ())),
    (text(5, 200), options(GREEDY, bistream=False), LmPrompt((1,), tuple(range(90)))),
]


@pytest.mark.parametrize("most", [512, 7])
async def test_a_stream_says_the_same_alone_and_in_a_crowd(most: int) -> None:
    """Long prompts are read in parts of `most` ids."""
    async with running(settings=TorchLmSettings(max_step_ids=most)) as lm:
        alone = [await say(lm, *one) for one in CROWD]
        steps = lm.stats()["lm_steps_total"]
        together = await asyncio.gather(*(say(lm, *one) for one in CROWD))
        assert lm.stats()["lm_steps_total"] - steps < steps, "they did not share steps"
    assert together == alone
    assert len({tuple(tokens) for tokens in alone}) == len(CROWD)


async def test_streams_join_and_leave_between_steps() -> None:
    async with running() as lm:
        alone = [await say(lm, *one) for one in CROWD[:3]]
        first = lm.open(CROWD[0][2], CROWD[0][1])
        await first.feed(CROWD[0][0])
        await first.finish()
        heard = await read(first, 4)
        leaver = lm.open(PROMPT, SEEDED)
        await leaver.feed(text(8))
        second = asyncio.create_task(say(lm, *CROWD[1]))
        await read(leaver, 3)
        third = asyncio.create_task(say(lm, *CROWD[2]))
        await leaver.cancel()
        assert await read(leaver) == []
        assert [*heard, *await read(first)] == alone[0]
        assert [await second, await third] == alone[1:]


async def test_seeds() -> None:
    async with running() as lm:
        again = [await say(lm, text(6), options(seed=seed)) for seed in (5, 5, 6)]
        unseeded = [await say(lm, text(6), options(seed=None)) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != again[2]
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize("pieces", [[16], [1] * 16, [4, 1, 6, 5], [5, 5, 5, 1], [15, 1]])
async def test_cuts_and_slow_text_do_not_change_the_speech(pieces: list[int]) -> None:
    """Each piece comes when the model has said everything that it can say without it."""
    ids = text(16)
    async with running() as lm:
        wanted = await say(lm, ids, SEEDED, LmPrompt())
        stream = lm.open(LmPrompt(), SEEDED)
        heard: list[int] = []
        fed = 0
        for count in pieces:
            await stream.feed(ids[fed : fed + count])
            fed += count
            while len(heard) < fed // 5 * 15:
                heard += await read(stream, 1)
        await stream.finish()
        assert heard + await read(stream) == wanted


async def test_waiting_costs_nothing() -> None:
    async with running() as lm:
        stream = lm.open(LmPrompt(), SEEDED)
        await stream.feed(text(6))
        heard: list[int] = []
        while len(heard) < 15:
            heard += await read(stream, 1)
        before = lm.stats()
        for _ in range(200):
            await asyncio.sleep(0)
        assert lm.stats() == before
        await stream.finish()
        assert len(await read(stream)) == 6 * 5 - 15


async def test_cancel_frees_the_place_within_one_step() -> None:
    async with running(settings=TorchLmSettings(max_streams=1)) as lm:
        wanted = await say(lm, text(2), SEEDED)
        needed = lm.stats()["lm_steps_total"]
        stream = lm.open(PROMPT, SEEDED)
        await stream.feed(text(30))
        await read(stream, 2)
        steps = lm.stats()["lm_steps_total"]
        await stream.cancel()
        await stream.cancel()
        await stream.feed(text(3))
        assert await say(lm, text(2), SEEDED) == wanted
        assert lm.stats()["lm_steps_total"] <= steps + 1 + needed
        assert lm.stats()["lm_slots_used"] == 0


async def test_more_streams_than_places_take_turns() -> None:
    async with running(settings=TorchLmSettings(max_streams=2)) as lm:
        alone = [await say(lm, *one) for one in CROWD]
        assert await asyncio.gather(*(say(lm, *one) for one in CROWD)) == alone


async def test_a_thousand_streams_leave_nothing_behind() -> None:
    brief = options(min_ratio=1, max_ratio=3)
    async with running(settings=TorchLmSettings(max_streams=16)) as lm:

        async def one(number: int) -> int:
            stream = lm.open(LmPrompt((), (number % 7,)), brief)
            return len(await come_and_go(stream, number))

        lengths = await asyncio.gather(*(one(number) for number in range(1000)))
        assert lengths.count(3) == 800
        for _ in range(5):
            await asyncio.sleep(0)
        stats = lm.stats()
        names = ("lm_streams", "lm_slots_used", "lm_cache_bytes")
        assert [stats[name] for name in names] == [0, 0, 0]
        assert await asyncio.gather(*(say(lm, [1], brief) for _ in range(16)))


async def test_stop_ids_are_never_speech_and_the_shortest_speech_is_kept() -> None:
    eager = LmDecoder(tiny_lm.model(stop_bias=[40.0, 40.0, 40.0]))
    async with running(eager) as lm:
        for bistream in (True, False):
            tokens = await say(lm, text(9), options(bistream=bistream))
            assert len(tokens) == 18
            assert max(tokens) < eager.ids.speech_size


async def test_text_bounds_the_speech() -> None:
    async with running() as lm:
        assert len(await say(lm, text(4), options(max_ratio=2.5))) == 10
        assert await say(lm, [], SEEDED) == []


def stuck() -> LmDecoder:
    """Says token 3 for ever."""
    model = tiny_lm.model()
    with torch.no_grad():
        model.llm_decoder.bias[3] = 1000.0
    return LmDecoder(model)


@pytest.mark.parametrize("bistream", [True, False])
async def test_a_loop_ends_the_stream_or_fails_it(bistream: bool) -> None:
    how = options(GREEDY, bistream=bistream)
    async with running(stuck()) as lm:
        assert await say(lm, text(9), how) == [3] * 45
        assert lm.stats()["lm_loops_total"] == 0
        assert await say(lm, text(9), options(how, loop_seconds=0.8)) == [3] * 20
        assert lm.stats()["lm_loops_total"] == 1
        stream = lm.open(PROMPT, options(how, loop_seconds=0.8, on_loop="fail"))
        await stream.feed(text(9))
        await stream.finish()
        assert await read(stream, 20) == [3] * 20, "what was said before the loop is heard"
        with pytest.raises(LmLoop):
            await anext(stream)
        assert lm.stats()["lm_slots_used"] == 0


def overflowing(dtype: torch.dtype) -> LmDecoder:
    """Its activations leave fp16's range, its weights do not."""
    model = tiny_lm.model()
    mlp = model.backbone.layers[1].mlp
    with torch.no_grad():
        mlp.up_proj.weight.mul_(3e4)
        mlp.down_proj.weight.mul_(1 / 3e4)
    return LmDecoder(model.to(dtype))


async def test_half_precision_falls_back_where_numbers_overflow() -> None:
    how = options(GREEDY, bistream=False, max_ratio=3)
    async with running(overflowing(torch.float16)) as lm:
        saved = await say(lm, text(9), how)
        assert lm.stats()["lm_recomputed_total"] > 0
        assert lm.stats()["lm_not_finite_total"] == 0
    async with running(overflowing(torch.float32)) as lm:
        assert (await say(lm, text(9), how))[0] == saved[0]
        assert lm.stats()["lm_recomputed_total"] == 0
    assert len(saved) == 27


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
async def test_half_precision_is_close(dtype: torch.dtype) -> None:
    exact, half = LmDecoder(tiny_lm.model()), LmDecoder(tiny_lm.model().to(dtype))
    inputs = tensor(text(9)), tensor(PROMPT.text_ids), tensor(PROMPT.speech_ids)
    wanted = parity.forward(exact, *inputs)[1].softmax(-1)
    found = parity.forward(half, *inputs)[1].softmax(-1)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().sum(-1).max() / 2 < 0.1, "total variation"
    async with running(half) as lm:
        assert len(await say(lm, text(3), SEEDED)) == 15


async def test_numbers_that_stay_infinite_fail_their_stream_only() -> None:
    broken = tiny_lm.model()
    with torch.no_grad():
        broken.backbone.embed_tokens.weight[7] = float("nan")
    async with running(LmDecoder(broken)) as lm:
        alone = await say(lm, text(5), SEEDED)
        failing = asyncio.create_task(say(lm, [*text(3), 7, 8], SEEDED, LmPrompt()))
        beside = asyncio.create_task(say(lm, text(5), SEEDED))
        with pytest.raises(LmNotFinite):
            await failing
        assert await beside == alone
        assert lm.stats()["lm_not_finite_total"] == 1
        # Its place, which held NaNs, serves the next streams.
        assert await asyncio.gather(*(say(lm, text(5), SEEDED) for _ in range(3))) == [alone] * 3


async def test_a_failing_step_fails_its_streams_and_no_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = LmDecoder(tiny_lm.model())
    async with running(decoder) as lm:
        wanted = await say(lm, text(5), SEEDED)

        def out_of_memory(*_: object) -> None:
            raise torch.OutOfMemoryError("of a test")

        with monkeypatch.context() as patch:
            patch.setattr(decoder, "forward", out_of_memory)
            with pytest.raises(LmFailed):
                await say(lm, text(5), SEEDED)
        assert lm.stats()["lm_failed_steps_total"] == 1
        assert "of a test" in caplog.text
        assert await say(lm, text(5), SEEDED) == wanted


async def test_stop_ends_the_streams_that_are_open() -> None:
    async with running() as lm:
        parked = lm.open(PROMPT, SEEDED)
        busy = lm.open(PROMPT, SEEDED)
        await busy.feed(text(30))
        await read(busy, 1)
        await lm.stop()
        await lm.stop()
        for stream in (parked, busy):
            with pytest.raises(EngineDied):
                await read(stream)
        with pytest.raises(EngineNotReady):
            lm.open(PROMPT, SEEDED)
        await lm.start()
        assert await say(lm, text(2), SEEDED)


async def test_what_does_not_fit_is_refused() -> None:
    async with running(settings=TorchLmSettings(max_context=60)) as lm:
        with pytest.raises(LmTooLong):
            lm.open(LmPrompt((), tuple(range(60))), SEEDED)
        with pytest.raises(LmTooLong):
            await say(lm, text(30), SEEDED, LmPrompt())
        with pytest.raises(ValueError, match="text id"):
            await say(lm, [320], SEEDED)
        assert await say(lm, text(2), SEEDED, LmPrompt())


async def test_text_after_the_end_is_refused() -> None:
    async with running() as lm:
        stream = lm.open(PROMPT, SEEDED)
        await stream.feed(text(1))
        await stream.finish()
        await stream.finish()
        with pytest.raises(ValueError, match="finished"):
            await stream.feed(text(1))
        assert len(await read(stream)) == 5


async def test_a_cancelled_reader_loses_no_token() -> None:
    async with running() as lm:
        wanted = await say(lm, text(6), SEEDED)
        stream = lm.open(PROMPT, SEEDED)
        reader = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        reader.cancel()
        await stream.feed(text(6))
        await stream.finish()
        assert await read(stream) == wanted
        assert stream.seconds > 0


@pytest.mark.parametrize("wrong", [{"top_p": 0.0}, {"top_k": 0}, {"min_ratio": 3, "max_ratio": 2}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingOptions(**wrong)
