"""CosyVoice 3's flow in steps: alone, several at once, by each policy and in half precision."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cosyserve.benchmarks.parity.reference.flow import Case, speak
from cosyserve.engine.cosyvoice.config import DitFlowConfig
from cosyserve.engine.cosyvoice.flow import (
    EXACT,
    RECOMPUTE,
    ContextPolicy,
    DitFlow,
    FlowError,
    FlowPrompt,
    total_nbytes,
)
from cosyserve.engine.cosyvoice.flow.dit.network import DitBlock
from support.engines.goldens3 import golden_dit_flow
from support.engines.tiny_dit import golden_case3, small_dit_flow
from support.engines.tiny_flow import difference, random_case

TOLERANCE = 1e-4
HOPS = st.lists(st.sampled_from([0, 1, 2, 3, 5, 13, 22, 25, 28, 50, 60]), min_size=1, max_size=8)
FLOW = small_dit_flow()
POLICIES = [EXACT, EXACT, ContextPolicy(window=60), RECOMPUTE, EXACT]
CASES = [
    random_case(10, prompt=32, tokens=90),
    random_case(11, prompt=60, tokens=77),
    random_case(12, prompt=0, tokens=100),
    random_case(13, prompt=9, tokens=64),
    random_case(14, prompt=60, tokens=77),
]


@pytest.fixture(scope="module")
def prompts() -> list[FlowPrompt]:
    return [FLOW.prepare_prompt(*case.voice) for case in CASES]


@settings(max_examples=20)
@given(
    hops=HOPS,
    prompt=st.sampled_from([0, 1, 3, 25, 28, 40]),
    tokens=st.integers(1, 110),
    policy=st.sampled_from([EXACT, RECOMPUTE, ContextPolicy(room=300)]),
)
def test_any_schedule(hops: list[int], prompt: int, tokens: int, policy: ContextPolicy) -> None:
    case = random_case(prompt + tokens, prompt=prompt, tokens=tokens)
    state = FLOW.start(FLOW.prepare_prompt(*case.voice), policy)
    mel = torch.cat(speak(FLOW, state, case.token[0], hops), dim=1)
    assert difference(mel, case.whole(FLOW)) < TOLERANCE


@settings(max_examples=8)
@given(hops=HOPS)
def test_a_window_gives_the_same_for_any_schedule(hops: list[int]) -> None:
    case = random_case(1, prompt=28, tokens=120)
    prompt, policy = FLOW.prepare_prompt(*case.voice), ContextPolicy(window=70)
    (known,) = speak(FLOW, FLOW.start(prompt, policy), case.token[0], [120])
    mels = speak(FLOW, FLOW.start(prompt, policy), case.token[0], hops)
    assert difference(torch.cat(mels, dim=1), known) < TOLERANCE
    assert difference(known, case.whole(FLOW)) > TOLERANCE


@pytest.mark.parametrize(
    ("prompt", "frames"), [(50, 0), (63, 60), (30, 49), (30, 61), (25, 70), (0, 30), (28, 149)]
)
def test_a_prompt_whose_mel_is_not_as_long_as_its_tokens(prompt: int, frames: int) -> None:
    whole = random_case(prompt, prompt=prompt, tokens=40)
    mel = torch.randn(1, frames, 80, generator=torch.Generator().manual_seed(frames))
    case = replace(whole, prompt_feat=mel)
    for hops in ([40], [13, 27], [1, 1, 38]):
        state = FLOW.start(FLOW.prepare_prompt(*case.voice))
        found = torch.cat(speak(FLOW, state, case.token[0], hops), dim=1)
        assert difference(found, case.whole(FLOW)) < TOLERANCE


def test_early_frames_are_those_of_the_prefix_and_never_come_twice() -> None:
    case = CASES[0]
    state = FLOW.start(FLOW.prepare_prompt(*case.voice))
    frames = 0
    for at in range(0, 90, 30):
        (mel,) = FLOW.step([state], [case.token[0, at : at + 30]], [at == 60], [True])
        prefix = case.prefix(FLOW, at + 30, streaming=True, finalize=at == 60)[0]
        assert difference(mel, prefix[:, frames:]) < TOLERANCE
        frames += mel.shape[1]
    assert frames == 180


# -- several at once ---------------------------------------------------------------------------


@settings(max_examples=8)
@given(hops=st.lists(st.sampled_from([7, 25, 30, 50, 100]), min_size=5, max_size=5))
def test_a_batch_gives_what_each_would_alone(prompts: list[FlowPrompt], hops: list[int]) -> None:
    def alone(prompt: FlowPrompt, policy: ContextPolicy, case: Case) -> Tensor:
        state = FLOW.start(prompt, policy)
        return speak(FLOW, state, case.token[0], [case.token.shape[1]])[0]

    states = [FLOW.start(prompt, policy) for prompt, policy in zip(prompts, POLICIES, strict=True)]
    queues = [list(case.token[0].split(hop)) for case, hop in zip(CASES, hops, strict=True)]
    mels: list[list[Tensor]] = [[] for _ in states]
    while live := [i for i, queue in enumerate(queues) if queue]:
        tokens = [queues[i].pop(0) for i in live]
        final = [not queues[i] for i in live]
        for i, mel in zip(live, FLOW.step([states[i] for i in live], tokens, final), strict=True):
            mels[i].append(mel)
    for mine, *voice in zip(mels, prompts, POLICIES, CASES, strict=True):
        assert difference(torch.cat(mine, dim=1), alone(*voice)) < TOLERANCE


def test_sessions_of_one_chunk_make_one_pass(prompts: list[FlowPrompt]) -> None:
    states = [FLOW.start(prompt) for prompt in prompts[:3]]
    before = FLOW.stats.passes
    mels = FLOW.step(states, [case.token[0, :30] for case in CASES[:3]], [False] * 3)
    assert FLOW.stats.passes == before + 1
    assert all(mel.shape[1] for mel in mels)


def test_sessions_share_a_prompt_and_do_not_disturb_each_other(prompts: list[FlowPrompt]) -> None:
    prompt, case = prompts[1], CASES[1]
    kept = [part.clone() for part in prompt.memory.estimator.prompt]
    one, other = FLOW.start(prompt), FLOW.start(prompt)
    mine: list[Tensor] = []
    for at in range(0, 77, 20):
        end = min(at + 20, 77)
        mine += FLOW.step([one], [case.token[0, at:end]], [end == 77])
        FLOW.step([other], [case.token[0, at:end].flip(0)], [False])
    assert difference(torch.cat(mine, dim=1), case.whole(FLOW)) < TOLERANCE
    assert kept
    for part, old in zip(prompt.memory.estimator.prompt, kept, strict=True):
        assert torch.equal(part, old)


def test_a_copy_goes_its_own_way(prompts: list[FlowPrompt]) -> None:
    case = CASES[0]
    state = FLOW.start(prompts[0])
    begun = FLOW.step([state], [case.token[0, :50]], [False])
    FLOW.step([state.copy()], [case.token[0, :40]], [True])
    rest = FLOW.step([state], [case.token[0, 50:]], [True])
    assert difference(torch.cat(begun + rest, dim=1), case.whole(FLOW)) < TOLERANCE


# -- memory ------------------------------------------------------------------------------------


def test_it_holds_what_its_shapes_say(prompts: list[FlowPrompt]) -> None:
    case = random_case(20, prompt=53, tokens=228)
    state = FLOW.start(prompts[0])
    assert state.nbytes < 100
    held, waiting = [], []
    for tokens in case.token[0].split(25):
        FLOW.step([state], [tokens], [False])
        held.append(state.nbytes)
        waiting.append(8 * state.tokens.shape[0])
    per_chunk = 25 * FLOW.shapes.bytes_per_token(torch.float32)
    assert {after - before for before, after in pairwise(held[1:9])} == {per_chunk}
    assert held[0] == per_chunk + FLOW.tail_bytes + waiting[0]
    assert total_nbytes([state]) == state.nbytes + prompts[0].nbytes
    FLOW.step([state], [case.token[0, :1]], [True])
    assert state.nbytes == 0


@pytest.mark.parametrize("window", [0, 30, 50, 120])
def test_a_window_is_bounded(prompts: list[FlowPrompt], window: int) -> None:
    state = FLOW.start(prompts[0], ContextPolicy(window=window))
    for tokens in random_case(21, prompt=0, tokens=228).token[0].split(100):
        FLOW.step([state], [tokens], [False])
    held = sum(memory.shape[-2] for memory in state.memory.estimator.memories)
    assert window <= held < window + 50


def test_bytes_of_a_second_of_the_published_model() -> None:
    """180 MB of context for each second, and 5 MB of convolutions' inputs, in float32."""
    with torch.device("meta"):
        flow = DitFlow(DitFlowConfig())
        assert 25 * flow.shapes.bytes_per_token(torch.float32) == 180_224_000
        assert 25 * flow.shapes.bytes_per_token(torch.bfloat16) == 90_112_000
        tails = flow._empty_tails().nbytes
    assert tails == 4 * (10 * 2 * 30 * 2 * 1024 + 2 * 1024)


# -- precision ---------------------------------------------------------------------------------


def spoken(flow: DitFlow) -> Tensor:
    case = golden_case3(26, 60)
    state = flow.start(flow.prepare_prompt(*case.voice))
    return torch.cat(speak(flow, state, case.token[0], [46, 14]), dim=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.02)])
def test_half_precision_is_close(dtype: torch.dtype, tolerance: float) -> None:
    flow = golden_dit_flow()
    exact = spoken(flow)
    flow.use_precision(dtype)
    assert flow.cache_dtype == dtype
    mel = spoken(flow)
    assert mel.dtype == torch.float32
    assert 0 < difference(mel, exact) < tolerance
    assert flow.stats.fp32_redos == 0


def test_a_mel_that_is_not_finite_is_done_again_and_counted() -> None:
    flow = golden_dit_flow()
    block = flow.decoder.estimator.transformer_blocks[0]
    assert isinstance(block, DitBlock)
    with torch.no_grad():
        # Beyond half's range, and undone by what follows.
        block.ff.ff[0][0].bias += 1e5
        block.ff.ff[2].weight.zero_()
    known, passes = spoken(flow), flow.stats.passes
    flow.use_precision(torch.float16)
    assert difference(spoken(flow), known) < 0.02
    assert flow.stats.fp32_redos == flow.stats.passes - passes > 0


def test_weights_that_give_no_finite_mel_are_an_error() -> None:
    flow = golden_dit_flow()
    with torch.no_grad():
        flow.pre_lookahead_layer.conv2.bias.fill_(torch.nan)
    with pytest.raises(FlowError, match="not finite"):
        spoken(flow)


def test_new_weights_are_noticed() -> None:
    """What the times make of the network is computed once, of the weights it has then."""
    flow = golden_dit_flow()
    known = spoken(flow)
    state = flow.state_dict()
    flow.load_state_dict({key: 0 * value for key, value in state.items()})
    assert difference(spoken(flow), known) > 0.1
    flow.load_state_dict(golden_dit_flow().state_dict())
    assert difference(spoken(flow), known) == 0
