"""The CUDA branch: no tensor of the CPU among those of the device, no number that is read in passing, and as
many operators for many sessions as for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.config import CosyVoice2Config, CosyVoice3Config
from cosyserve.engine.cosyvoice.flow import (
    EXACT,
    ContextPolicy,
    FlowPrompt,
    FlowState,
    GraphCache,
    TokenFlow,
)
from cosyserve.engine.cosyvoice.flow.solver import Solver
from cosyserve.engine.cosyvoice.lm.interface import SamplingOptions
from cosyserve.engine.cosyvoice.lm.sampling import Draw
from cosyserve.engine.cosyvoice.lm.step import Stepper, StepRow
from cosyserve.engine.cosyvoice.scheduling.chunker import Hop
from cosyserve.engine.cosyvoice.scheduling.hops import HopJob, HopResult, HopRunner, UtteranceHops
from cosyserve.engine.cosyvoice.vocoder import Hift, StreamPolicy
from support.engines.fake_cuda import (
    CUDA,
    CudaModels,
    Watch,
    fake_cuda,
    load_dit_flow,
    load_models,
)

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")

FULL = CosyVoice2Config()
SHALLOW = replace(
    FULL,
    lm=replace(FULL.lm, num_hidden_layers=2),
    flow=replace(
        FULL.flow,
        steps=2,
        encoder=replace(FULL.flow.encoder, num_blocks=1, num_up_blocks=1),
        estimator=replace(FULL.flow.estimator, n_blocks=1, num_mid_blocks=1),
    ),
)
"""The published widths, in as few layers as there can be."""
MOST = 64
COUNTS = (1, 8, MOST)
GROWTH = 1.3
"""Operators for MOST sessions against those for one, at most."""
PAGES = 1000


@pytest.fixture(scope="module", autouse=True)
def schedules() -> None:
    """Their numbers are computed once, and not on the device."""
    for config in (FULL, SHALLOW):
        Solver(config.flow.steps, config.flow.cfg_rate)


@pytest.fixture
def watch() -> Iterator[Watch]:
    with fake_cuda() as made:
        yield made


def models(dtype: torch.dtype = torch.bfloat16, config: CosyVoice2Config = SHALLOW) -> CudaModels:
    made = load_models(dtype, config)
    made.flow.use_pages(PAGES)
    return made


def prompt_of(flow: TokenFlow[Any], tokens: int) -> FlowPrompt:
    config = flow.config
    mel = torch.empty(1, 2 * tokens, config.mel_size, device=CUDA)
    speaker = torch.empty(1, config.speaker_size, device=CUDA)
    return flow.prepare_prompt(np.zeros(tokens, dtype=np.int64), mel, speaker)


def sessions(flow: TokenFlow[Any], count: int, policy: ContextPolicy = EXACT) -> list[FlowState]:
    """With contexts of many different lengths, in step with the grid of chunks."""
    prompts = [prompt_of(flow, 50 + 30 * voice) for voice in range(min(count, 3))]
    states = [flow.start(prompts[number % len(prompts)], policy) for number in range(count)]
    if count > 1:
        step(flow, states[count // 2 :], 50)
    step(flow, states, 3 + 25)
    return states


def step(
    flow: TokenFlow[Any],
    states: Sequence[FlowState],
    tokens: int,
    *,
    final: bool = False,
    early: bool = False,
) -> list[torch.Tensor]:
    count = len(states)
    return flow.step(states, [[0] * tokens] * count, [final] * count, [early] * count)


def hop(watch: Watch, flow: TokenFlow[Any], count: int, policy: ContextPolicy = EXACT) -> int:
    """The operators of a hop of one chunk of so many sessions."""
    states = sessions(flow, count, policy)
    watch.reset()
    mels = step(flow, states, 25)
    assert all(mel.is_cuda and mel.shape == (80, 50) for mel in mels)
    # Whether the mel is finite, at the end of the hop; nothing is read inside the Euler steps.
    assert (watch.reads, watch.waits) == (1, 0)
    return watch.launches


def test_the_published_size_speaks(watch: Watch) -> None:
    made = models(torch.bfloat16, FULL)
    state = made.flow.start(prompt_of(made.flow, 60))
    watch.reset()
    (mel,) = step(made.flow, [state], 15 + 3, early=True)
    assert mel.dtype == torch.float32
    assert mel.shape == (80, 30)
    assert (watch.reads, watch.waits) == (1, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_hop_of_the_flow(watch: Watch, dtype: torch.dtype) -> None:
    flow = models(dtype).flow
    counts = [hop(watch, flow, count) for count in COUNTS]
    assert max(counts) <= GROWTH * counts[0]


def test_a_hop_of_the_flow_of_cosyvoice_3(watch: Watch) -> None:
    full = CosyVoice3Config()
    dit = replace(full.flow, steps=2, dit=replace(full.flow.dit, depth=2))
    flow = load_dit_flow(torch.bfloat16, replace(full, flow=dit))
    flow.use_pages(PAGES)
    counts = [hop(watch, flow, count) for count in COUNTS]
    assert max(counts) <= GROWTH * counts[0]


def test_a_hop_within_a_window(watch: Watch) -> None:
    flow = models().flow
    policy = ContextPolicy(window=75)
    counts = [hop(watch, flow, count, policy) for count in (1, MOST)]
    assert max(counts) <= GROWTH * counts[0]


@pytest.mark.parametrize(("early", "final"), [(True, False), (False, True)])
def test_first_and_last_hops(watch: Watch, early: bool, final: bool) -> None:
    """A first hop begins within the prompt; a last one is a pass of whole chunks and one of the rest."""
    flow = models().flow
    counts = []
    for count in (1, MOST):
        states = [flow.start(prompt_of(flow, 60)) for _ in range(2)]
        states = [states[number % 2].copy() for number in range(count)]
        watch.reset()
        step(flow, states, 18, early=early, final=final)
        counts.append(watch.launches)
        assert (watch.reads, watch.waits) == (1, 0)
    assert counts[1] <= GROWTH * counts[0]


@pytest.mark.parametrize("fast", [0.0, 0.3], ids=["one speed", "many speeds"])
def test_a_step_of_the_vocoder(watch: Watch, fast: float) -> None:
    """Windows of many lengths, inside their utterances."""
    hift = models().hift
    counts = []
    for count in COUNTS:
        states = [hift.start(seed=number) for number in range(count)]
        speeds = [1.0 + fast * number / count for number in range(1, count + 1)]
        last = [number % 4 == 1 for number in range(count)]
        for frames in (60, 50):
            hift.step(states, [mel(hift, frames)] * count, [False] * count, speeds)
        watch.reset()
        mels = [mel(hift, 40 + number % 5) for number in range(count)]
        waves = hift.step(states, mels, last, speeds)
        assert all(wave.is_cuda and wave.dtype == torch.float32 for wave in waves)
        assert (watch.reads, watch.waits) == (0, 0)
        counts.append(watch.launches)
    assert max(counts) <= GROWTH * counts[0]


def mel(hift: Hift, frames: int) -> torch.Tensor:
    return torch.empty(hift.config.mel_size, frames, device=CUDA)


def test_a_hop_is_read_twice(watch: Watch) -> None:
    """Whether the mel is finite, and all sound."""
    made = models()
    runner = HopRunner(made.flow, made.hift)
    prompts = [prompt_of(made.flow, 50 + 7 * voice) for voice in range(4)]
    counts = []
    for count in (1, MOST):
        utterances = [
            UtteranceHops(prompts[number % 4], EXACT, StreamPolicy(), 1.0, number)
            for number in range(count)
        ]
        for tokens, early in ((18, True), (25, False)):
            jobs = [hop_job(each, tokens, early=early) for each in utterances]
            watch.reset()
            results = runner.run(jobs)
            assert all(isinstance(result, HopResult) for result in results)
            assert (watch.reads, watch.waits) == (2, 0)
        counts.append(watch.launches)
    assert counts[1] <= GROWTH * counts[0]


def hop_job(utterance: UtteranceHops, tokens: int, *, early: bool) -> HopJob:
    hop = Hop((0,) * tokens, early, False)
    return HopJob(utterance, hop, 0.0, 0.0, lambda result: None, lambda error: None)


def test_a_step_of_the_lm(watch: Watch) -> None:
    decoder = models().lm
    counts = []
    for count in COUNTS:
        stepper = Stepper(decoder)
        # Contexts of many lengths, in slots that are not side by side.
        contexts = [[0] * (30 + 5 * number) for number in range(count)]
        read = [rows(3 * number, each, 0, len(each) - 1) for number, each in enumerate(contexts)]
        watch.reset()
        stepper.step(read)
        # Whether the numbers are finite.
        assert (watch.reads, watch.waits) == (1, 0)
        reading = watch.launches
        drawn = [
            rows(3 * number, each, len(each) - 1, len(each)) for number, each in enumerate(contexts)
        ]
        watch.reset()
        result = stepper.step(drawn)
        # That, and the tokens, at once.
        assert (watch.reads, watch.waits) == (1, 0)
        assert result.tokens == [1] * count
        counts.append((reading, watch.launches))
    for column in zip(*counts, strict=True):
        assert max(column) <= GROWTH * column[0]


def rows(slot: int, context: Sequence[int], begin: int, end: int) -> StepRow:
    options = SamplingOptions(top_p=0.5 + 0.001 * slot)  # of each its own
    draw = Draw((3, 4), context[-5:], 0.5, options) if end == len(context) else None
    return StepRow(slot, context, begin, end, draw)


def test_a_recorded_graph_is_given_numbers_and_moves_no_keys(watch: Watch) -> None:
    flow = models().flow
    states = {count: sessions(flow, count) for count in (1, MOST)}
    graphs = GraphCache(flow, lambda work: work, MOST, 1 << 40)
    flow.use_graphs(graphs)
    passes = []
    for each in states.values():
        step(flow, each, 25)
        watch.reset()
        step(flow, each, 25)
        assert (watch.reads, watch.waits) == (1, 0)
        passes.append(watch.launches)
    assert not graphs.failed
    assert graphs.counts.passes == 4
    assert max(passes) <= GROWTH * passes[0]
