"""Hops on the device: batches, failures, and sound that no schedule changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint import from_state_dicts, load_flow, load_hift
from cosyserve.engine.cosyvoice.flow import EXACT, ContextPolicy, FlowPrompt, GraphCache
from cosyserve.engine.cosyvoice.prompt.voice import VoicePrompt
from cosyserve.engine.cosyvoice.scheduling.chunker import Hop, HopPolicy, TokenChunker
from cosyserve.engine.cosyvoice.scheduling.hops import HopJob, HopResult, HopRunner, UtteranceHops
from cosyserve.engine.cosyvoice.vocoder import StreamPolicy
from cosyserve.engine.interface import EngineDied, EngineError, Samples
from support.engines.recorded_work import Recorder
from support.engines.tiny_checkpoint import TINY, weights

TOKENS = tuple(torch.randint(0, 216, (90,), generator=torch.Generator().manual_seed(1)).tolist())
PROMPT_TOKENS = 18


@pytest.fixture(scope="module")
def runner() -> HopRunner:
    checkpoint = from_state_dicts(TINY, flow=weights("flow"), hift=weights("hift"))
    return HopRunner(load_flow(checkpoint), load_hift(checkpoint))


@pytest.fixture(scope="module")
def prompt(runner: HopRunner) -> FlowPrompt:
    source = torch.Generator().manual_seed(0)
    return runner.prompt(
        VoicePrompt(
            "voice",
            (),
            torch.randint(0, 216, (PROMPT_TOKENS,), generator=source),
            torch.randn(2 * PROMPT_TOKENS, 80, generator=source),
            torch.randn(192, generator=source),
        )
    )


def utterance(prompt: FlowPrompt, policy: ContextPolicy = EXACT) -> UtteranceHops:
    return UtteranceHops(prompt, policy, StreamPolicy(), speed=1.0, seed=4)


def job(utterance: UtteranceHops, hop: Hop) -> HopJob:
    return HopJob(utterance, hop, 0.0, 0.0, lambda result: None, lambda error: None)


def run(runner: HopRunner, utterance: UtteranceHops, hop: Hop) -> Samples:
    (result,) = runner.run([job(utterance, hop)])
    assert isinstance(result, HopResult)
    return result.samples


def hops(policy: HopPolicy, buffered: float) -> list[Hop]:
    made = TokenChunker(policy, chunk=25, look_ahead=3, prompt_tokens=PROMPT_TOKENS)
    made.add(TOKENS)
    made.finish()
    return list(iter(lambda: made.take(buffered), None))


def test_growing_hops_give_the_sound_of_small_ones(runner: HopRunner, prompt: FlowPrompt) -> None:
    sounds = []
    for buffered in (0.0, 99.0):
        one = utterance(prompt)
        parts = [run(runner, one, hop) for hop in hops(HopPolicy(hop_growth_seconds=1.0), buffered)]
        assert one.flow is None
        assert one.vocoder is None
        sounds.append(np.concatenate(parts))
    assert len(sounds[0]) == 960 * len(TOKENS)
    # Mels differ by rounding, 2e-6, which the vocoder's phase magnifies here and there.
    off = np.abs(sounds[0] - sounds[1])
    assert np.sqrt(np.mean(off**2)) < 2e-4
    assert off.max() < 5e-3


def test_a_short_first_hop_is_heard_at_once_and_adds_nothing(
    runner: HopRunner, prompt: FlowPrompt
) -> None:
    one = utterance(prompt)
    parts = [run(runner, one, hop) for hop in hops(HopPolicy(first_hop_tokens=12), 0.0)]
    seam = StreamPolicy().look_ahead
    assert len(parts[0]) == 480 * (2 * 12 - seam)
    assert sum(map(len, parts)) == 960 * len(TOKENS)


def test_who_fails_alone_fails_and_the_others_are_as_without_it(
    runner: HopRunner, prompt: FlowPrompt
) -> None:
    first, second = hops(HopPolicy(), 0.0)[:2]
    wrong = Hop((10_000,) * len(second.tokens), early=False, final=False)
    alone, beside, bad = utterance(prompt), utterance(prompt), utterance(prompt)
    expected = [run(runner, alone, hop) for hop in (first, second)]
    started = runner.run([job(beside, first), job(bad, first)])
    assert all(isinstance(result, HopResult) for result in started)
    good, failed = runner.run([job(beside, second), job(bad, wrong)])
    assert isinstance(failed, EngineDied)
    assert isinstance(good, HopResult)
    assert np.abs(good.samples - expected[1]).max() < 1e-3


def test_a_failed_hop_leaves_its_utterance_as_it_was(
    runner: HopRunner, prompt: FlowPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = hops(HopPolicy(), 0.0)[:2]
    one, other = utterance(prompt), utterance(prompt)
    for each in (one, other):
        run(runner, each, first)

    def broken(*_: object) -> Sequence[torch.Tensor]:
        raise RuntimeError("the vocoder is broken")

    with monkeypatch.context() as patch:
        patch.setattr(runner.vocoder, "step", broken)
        (result,) = runner.run([job(one, second)])
    assert isinstance(result, EngineError)
    assert "broken" not in str(result)
    assert np.array_equal(run(runner, one, second), run(runner, other, second))


def test_narrowing_bounds_what_is_held(runner: HopRunner, prompt: FlowPrompt) -> None:
    wide, narrow = utterance(prompt), utterance(prompt)
    rest = [hop for hop in hops(HopPolicy(), 0.0) if not hop.final]
    for number, hop in enumerate(rest):
        for each in (wide, narrow):
            assert np.isfinite(run(runner, each, hop)).all()
        if number == 0:
            narrow.narrow(ContextPolicy(window=50))
    assert narrow.nbytes < wide.nbytes


def test_what_is_warmed_up_is_not_recorded_later(
    runner: HopRunner, prompt: FlowPrompt, request: pytest.FixtureRequest
) -> None:
    flow = runner.flow
    request.addfinalizer(lambda: flow.use_graphs(None))
    runner.warm_up(8)  # without graphs there is nothing to do
    before = flow.stats.passes
    flow.use_graphs(GraphCache(Recorder(), 1 << 27, torch.device("cpu")))
    runner.warm_up(4, seconds=4)
    assert flow.graphs is not None
    # One, two and four utterances in one length of context.
    assert (len(flow.graphs), flow.graphs.passes) == (3, 12)
    assert flow.stats.passes == before + 12
    utterances = [utterance(prompt) for _ in range(3)]
    runner.run([job(each, Hop(TOKENS[:20], False, False)) for each in utterances])
    assert len(flow.graphs) == 3
    assert flow.graphs.passes == 13


def test_a_cancelled_hop_leaves_nothing(runner: HopRunner, prompt: FlowPrompt) -> None:
    one = utterance(prompt)
    made = job(one, hops(HopPolicy(), 0.0)[0])
    made.cancelled = True
    runner.run([made])
    assert one.nbytes == 0
