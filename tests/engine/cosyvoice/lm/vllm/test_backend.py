"""The same tokens as the torch LM and the reference give, whatever goes on beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from cosyserve.engine.cosyvoice.lm.interface import (
    LmLoop,
    LmPrompt,
    LmTooLong,
    SamplingOptions,
    SpeechLM,
)
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from support.engines import goldens, tiny_lm
from support.engines.scripted_bistream import ScriptedBistream
from support.engines.tiny_lm import GREEDY, PROMPT, SEEDED, come_and_go, read, say, text
from support.engines.vllm import MAX_MODEL_LEN

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

TENSORS = goldens.tensors("f_llm")
META = goldens.meta("f_llm")
BISTREAM = sorted(name for name, case in META.items() if isinstance(case, dict))

Case = tuple[list[int], SamplingOptions, LmPrompt]

CROWD: list[Case] = [
    (text(3), GREEDY, PROMPT),
    (text(12, 130), replace(SEEDED, seed=1), PROMPT),
    (text(7, 150), replace(SEEDED, seed=2, bistream=False, top_k=5), LmPrompt()),
    (text(16, 170), replace(SEEDED, win=25, tau=0.05, top_p=0.95), LmPrompt((0, 1, 2), ())),
    (text(5, 200), replace(GREEDY, bistream=False), LmPrompt((1,), tuple(range(90)))),
    (text(1), SEEDED, LmPrompt()),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def torch_lm() -> AsyncIterator[TorchSpeechLM]:
    async with tiny_lm.running() as running:
        yield running


async def say_slowly(lm: SpeechLM, case: Case, pieces: Sequence[int]) -> list[int]:
    """Each piece comes when the model has said all that it can without it; the prompt has no speech."""
    ids, how, prompt = case
    stream = lm.open(prompt, how)
    heard: list[int] = []
    fed = 0
    for count in pieces:
        piece = ids[fed : fed + count]
        await stream.feed(piece)
        fed += len(piece)
        while len(heard) < (len(prompt.text_ids) + fed) // 5 * 15:
            heard += await read(stream, 1)
    await stream.finish()
    heard += await read(stream)
    await stream.cancel()
    return heard


async def idle(lm: VllmSpeechLM) -> bool:
    """Whether neither we nor vLLM hold anything of any stream."""
    stats = lm.stats()
    engine = lm.host.engine()
    # vLLM refuses to forget its cache while a request holds a part of it.
    names = ("lm_streams", "lm_streams_inside", "lm_streams_computed")
    return (
        [stats[name] for name in names] == [0, 0, 0]
        and not engine.output_processor.has_unfinished_requests()
        and await engine.reset_prefix_cache()
    )


async def test_unistream_golden(lm: VllmSpeechLM) -> None:
    wanted = TENSORS["uni_tokens"].tolist()
    ids = TENSORS["text"].flatten().tolist()
    ratio = len(wanted) / len(ids) + 1e-6
    how = replace(GREEDY, bistream=False, max_ratio=ratio)
    prompt = LmPrompt(
        tuple(TENSORS["prompt_text"].flatten().tolist()),
        tuple(TENSORS["prompt_speech_token"].flatten().tolist()),
    )
    assert await say(lm, ids, how, prompt) == wanted


@pytest.mark.parametrize("name", BISTREAM)
async def test_bistream_golden(lm: VllmSpeechLM, name: str) -> None:
    """Forced and early fills, a text that ends right after one, prompts of all shapes."""
    plan = ScriptedBistream(lm.config, META[name], MAX_MODEL_LEN)
    stream = lm.open_composition(plan, GREEDY)
    for piece in META[name]["pieces"]:
        await stream.feed(piece)
    await stream.finish()
    assert await read(stream) == TENSORS[f"{name}_tokens"].tolist()
    fills = plan.decoded.count(plan.ids.fill)
    assert fills or name in ("bi_short", "bi_shorttext_longprompt")
    await stream.cancel()
    assert await idle(lm)


async def test_alone_and_in_a_crowd_as_in_torch(lm: VllmSpeechLM, torch_lm: TorchSpeechLM) -> None:
    wanted = [await say(torch_lm, *one) for one in CROWD]
    assert [await say(lm, *one) for one in CROWD] == wanted
    assert await asyncio.gather(*(say(lm, *one) for one in CROWD)) == wanted
    assert await idle(lm)


@pytest.mark.parametrize("pieces", [[16], [1] * 16, [4, 1, 6, 5], [5, 5, 5, 1], [15, 1]])
async def test_cuts_and_slow_text_do_not_change_the_speech(
    lm: VllmSpeechLM, torch_lm: TorchSpeechLM, pieces: list[int]
) -> None:
    for how in (GREEDY, SEEDED):
        wanted = await say(torch_lm, text(16), how, LmPrompt())
        requests = lm.stats()["lm_requests_total"]
        assert await say_slowly(lm, (text(16), how, LmPrompt()), pieces) == wanted
        assert lm.stats()["lm_requests_total"] == requests + 1


async def test_eight_duplex_sessions_beside_six_plain_ones(
    lm: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    duplex = [
        (text(5 + 2 * i, 100 + 10 * i), replace(GREEDY if i % 2 else SEEDED, seed=i), LmPrompt())
        for i in range(8)
    ]
    plain = [
        (text(4 + i, 50 + 20 * i), replace(GREEDY if i % 2 else SEEDED, bistream=False), PROMPT)
        for i in range(6)
    ]
    wanted = [await say(torch_lm, *case) for case in (*duplex, *plain)]
    lm_inputs = lm.stats()["lm_chunks_total"]
    slow = [say_slowly(lm, case, [3] * (len(case[0]) // 3 + 1)) for case in duplex]
    found = await asyncio.gather(*slow, *(say(lm, *case) for case in plain))
    assert found == wanted
    groups = sum(len(case[0]) // 5 for case in duplex)
    assert lm.stats()["lm_chunks_total"] == lm_inputs + groups + len(wanted)
    assert await idle(lm)


async def test_incremental_text_is_read_once(lm: VllmSpeechLM) -> None:
    """Of all that the engine was given: the text, two special ids, and the tokens that ended a group."""
    before = lm.stats()["lm_ids_read_total"]
    await say_slowly(lm, (text(16), GREEDY, LmPrompt()), [5, 5, 5, 1])
    assert lm.stats()["lm_ids_read_total"] == before + 16 + 2 + 3


async def test_a_stream_that_was_called_back_goes_on_as_if_it_had_not_been(
    lm: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    for how in (GREEDY, SEEDED):
        wanted = await say(torch_lm, text(16), how, LmPrompt())
        requests = lm.stats()["lm_requests_total"]
        stream = lm.open(LmPrompt(), how)
        heard: list[int] = []
        for begin in range(0, 15, 5):
            await stream.feed(text(16)[begin : begin + 5])
            while len(heard) < begin * 3 + 15:
                heard += await read(stream, 1)
            stream.call_back()
            if begin == 5:  # text may come while it is leaving, too
                while lm.stats()["lm_streams_inside"]:  # noqa: ASYNC110
                    await asyncio.sleep(0)
        await stream.feed(text(16)[15:])
        await stream.finish()
        assert heard + await read(stream) == wanted
        await stream.cancel()
        assert lm.stats()["lm_requests_total"] == requests + 4
    assert await idle(lm)


async def test_a_request_for_each_input_says_the_same(
    lm: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    """As with releases of vLLM into whose requests no text can be added."""
    plain = VllmSpeechLM(lm.host, lm.config, sessions=False)
    for how in (GREEDY, SEEDED):
        case = text(16), how, LmPrompt()
        assert await say_slowly(plain, case, [4, 1, 6, 5]) == await say(torch_lm, *case)
    assert plain.stats()["lm_requests_total"] == plain.stats()["lm_chunks_total"] == 8
    wanted = [await say(torch_lm, *one) for one in CROWD]
    assert await asyncio.gather(*(say(plain, *one) for one in CROWD)) == wanted
    assert await idle(plain)


async def test_waiting_costs_nothing_but_the_cache(lm: VllmSpeechLM) -> None:
    stream = lm.open(LmPrompt(), SEEDED)
    await stream.feed(text(6))
    heard: list[int] = []
    while len(heard) < 15:
        heard += await read(stream, 1)
    before = lm.stats()
    assert before["lm_streams_parked"] == 1
    assert not await idle(lm)
    after = lm.stats()
    assert {name: after[name] for name in before} == before
    seconds = stream.seconds
    await stream.finish()
    assert len(await read(stream)) == 6 * 5 - 15
    await stream.cancel()
    assert stream.seconds > seconds > 0
    assert await idle(lm)


@pytest.mark.parametrize("moment", ["opened", "fed", "speaking", "parked", "final", "over"])
async def test_cancel_frees_everything(lm: VllmSpeechLM, moment: str) -> None:
    how = replace(SEEDED, max_ratio=20)
    stream = lm.open(LmPrompt(), how)
    if moment != "opened":
        await stream.feed(text(6 if moment == "parked" else 30))
    if moment in ("final", "over"):
        await stream.finish()
    if moment == "speaking":
        await read(stream, 2)
    if moment == "parked":
        heard: list[int] = []
        while len(heard) < 15:
            heard += await read(stream, 1)
    if moment == "final":
        heard = []
        while len(heard) < 95:  # 6 groups are 90
            heard += await read(stream, 1)
    if moment == "over":
        assert await read(stream)
    await stream.cancel()
    await stream.cancel()
    await stream.feed(text(3)) if moment not in ("final", "over") else None
    assert await read(stream) == []
    assert await idle(lm)


async def test_many_streams_leave_nothing_behind(lm: VllmSpeechLM) -> None:
    brief = replace(SEEDED, min_ratio=1, max_ratio=3)

    async def one(number: int) -> int:
        stream = lm.open(LmPrompt((), (number % 7,)), brief)
        tokens = await come_and_go(stream, number)
        await stream.cancel()
        return len(tokens)

    lengths = await asyncio.gather(*(one(number) for number in range(150)))
    assert lengths.count(3) == 120
    assert await idle(lm)


async def test_a_loop_ends_the_stream_or_fails_it(
    lm: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    for bistream, begin in ((True, 40), (False, 10)):
        how = replace(GREEDY, max_ratio=20, loop_seconds=0.12, bistream=bistream)
        loops = lm.stats()["lm_loops_total"]
        wanted = await say(torch_lm, text(9, begin), how, LmPrompt())
        assert 90 < len(wanted) < 180, "torch found a loop"
        assert await say(lm, text(9, begin), how, LmPrompt()) == wanted
        stream = lm.open(LmPrompt(), replace(how, on_loop="fail"))
        await stream.feed(text(9, begin))
        await stream.finish()
        heard: list[int] = []
        with pytest.raises(LmLoop):  # noqa: PT012
            async for some in stream:
                heard += some
        await stream.cancel()
        assert heard == wanted
        assert lm.stats()["lm_loops_total"] == loops + 2
    assert await idle(lm)


async def test_what_does_not_fit_never_reaches_the_engine(lm: VllmSpeechLM) -> None:
    requests = lm.stats()["lm_requests_total"]
    with pytest.raises(LmTooLong):
        lm.open(LmPrompt((), tuple(i % 200 for i in range(MAX_MODEL_LEN))), SEEDED)
    with pytest.raises(LmTooLong):
        await say(lm, [1] * MAX_MODEL_LEN, replace(SEEDED, bistream=False))
    with pytest.raises(ValueError, match="text id"):
        await say(lm, [320], SEEDED)
    with pytest.raises(ValueError, match="speech token"):
        lm.open(LmPrompt((), (216,)), SEEDED)
    assert lm.stats()["lm_requests_total"] == requests
    assert await idle(lm)


async def test_a_session_that_outgrows_the_context_fails_alone(lm: VllmSpeechLM) -> None:
    """Each of its inputs would fit by itself, and vLLM looks at no more than that."""
    other = asyncio.create_task(say(lm, text(16), SEEDED))
    stream = lm.open(LmPrompt(), replace(SEEDED, max_ratio=20))
    heard: list[int] = []
    with pytest.raises(LmTooLong):  # noqa: PT012
        for begin in range(0, 2 * MAX_MODEL_LEN, 5):
            await stream.feed(text(5, begin % 300))
            while len(heard) < begin * 3 + 15:
                heard += await anext(stream)
    # A group, the one id that the input before has left and 15 tokens at a time.
    assert len(heard) // 15 == MAX_MODEL_LEN // 20
    await other
    await stream.cancel()
    assert await idle(lm)


async def test_the_longest_stream_that_fits(lm: VllmSpeechLM, torch_lm: TorchSpeechLM) -> None:
    """To the last place of the context."""
    how = replace(GREEDY, bistream=False, max_ratio=1000)
    found = await say(lm, text(3), how)
    assert len(found) == MAX_MODEL_LEN - len(PROMPT.text_ids) - len(PROMPT.speech_ids) - 3 - 2
    assert found == (await say(torch_lm, text(3), how))[: len(found)]
    assert await idle(lm)


async def test_a_cancelled_reader_loses_no_token(lm: VllmSpeechLM) -> None:
    wanted = await say(lm, text(6), SEEDED)
    stream = lm.open(PROMPT, SEEDED)
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    reader.cancel()
    await stream.feed(text(6))
    await stream.finish()
    assert await read(stream) == wanted
    with pytest.raises(ValueError, match="finished"):
        await stream.feed(text(1))


@pytest.mark.parametrize("sessions", [True, False])
async def test_no_tenant_finds_what_was_computed_for_another(
    lm: VllmSpeechLM, monkeypatch: pytest.MonkeyPatch, sessions: bool
) -> None:
    """Its time would tell what the other one had spoken."""
    found: list[int] = []
    engine = lm.host.engine()
    real = engine.generate

    async def generate(*arguments: Any, **named: Any) -> AsyncGenerator[Any]:
        async with aclosing(real(*arguments, **named)) as outputs:
            first = True
            async for output in outputs:
                if first:
                    found.append(output.num_cached_tokens or 0)
                first = False
                yield output

    monkeypatch.setattr(engine, "generate", generate)
    monkeypatch.setattr(lm._shared, "sessions", sessions)
    await engine.reset_prefix_cache()
    ids, how = text(100), replace(GREEDY, bistream=False, max_ratio=2.0)
    for tenant in ("ann", "ann", "bob", "", "bob"):
        await say(lm, ids, how, replace(PROMPT, tenant=tenant))
    ann, again, bob, nobody, bob_again = found
    assert (ann, bob, nobody) == (0, 0, 0)
    assert again == bob_again
    assert again >= 64
    await engine.reset_prefix_cache()
