"""Stepwise mel equals the whole utterance's with the chunk mask, however the tokens come."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cosyserve.benchmarks.parity.reference import flow as reference_flow
from cosyserve.benchmarks.parity.reference.flow import Case, speak
from cosyserve.engine.cosyvoice.flow import EXACT, RECOMPUTE, ContextPolicy, Flow, FlowError
from support.engines import goldens
from support.engines.tiny_flow import (
    STORES,
    difference,
    golden_case,
    kept_in,
    random_case,
    small_flow,
    tiny_flow,
)

TOLERANCE = 1e-4
LOOP = goldens.meta("e_token2wav_loop")


@pytest.fixture(scope="module", params=STORES)
def flow(request: pytest.FixtureRequest) -> Flow:
    return kept_in(request.param, tiny_flow())


@pytest.fixture(scope="module", params=STORES)
def small(request: pytest.FixtureRequest) -> Flow:
    return kept_in(request.param, small_flow())


@pytest.fixture(scope="module")
def case() -> Case:
    return golden_case("b_flow_inference")


@pytest.fixture(scope="module")
def expected() -> Tensor:
    return goldens.tensors("b_flow_inference")["mel_stream_final"][0]


@pytest.mark.parametrize("policy", [EXACT, RECOMPUTE])
@pytest.mark.parametrize("name", ["hop25", "doubling"])
def test_golden_schedules(
    flow: Flow, case: Case, expected: Tensor, name: str, policy: ContextPolicy
) -> None:
    chunks = LOOP[name]["chunks"]
    ends = [chunk["n_tokens"] for chunk in chunks]
    hops = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    state = flow.start(flow.prepare_prompt(*case.voice), policy)
    mels = speak(flow, state, case.token[0], hops)
    so_far = torch.cat(mels, dim=1).shape[1]
    assert [sum(m.shape[1] for m in mels[: i + 1]) for i in range(len(mels))] == [
        chunk["mel_frames"] for chunk in chunks
    ]
    assert so_far == expected.shape[1]
    assert difference(torch.cat(mels, dim=1), expected) < TOLERANCE


def test_a_tail_across_the_grid(flow: Flow) -> None:
    case = golden_case("e2_tail")
    state = flow.start(flow.prepare_prompt(*case.voice))
    mels = speak(flow, state, case.token[0], [46, 25, 23])
    expected = goldens.tensors("e2_tail")["mel_s1_final"][0]
    assert difference(torch.cat(mels, dim=1), expected) < TOLERANCE


def test_one_token_at_a_time(flow: Flow, case: Case, expected: Tensor) -> None:
    state = flow.start(flow.prepare_prompt(*case.voice))
    mels = speak(flow, state, case.token[0], [1] * 150)
    assert difference(torch.cat(mels, dim=1), expected) < TOLERANCE
    # 32 + 46 tokens are three chunks of 25 and the look-ahead; nothing can come before.
    assert [i for i, mel in enumerate(mels) if mel.shape[1]] == [20, 45, 70, 95, 120, 145, 149]


HOPS = st.lists(st.sampled_from([0, 1, 2, 3, 5, 13, 22, 25, 28, 50, 60]), min_size=1, max_size=8)


@settings(max_examples=15)
@given(
    hops=HOPS,
    prompt=st.sampled_from([0, 1, 3, 25, 28, 40]),
    tokens=st.integers(1, 110),
    policy=st.sampled_from([EXACT, RECOMPUTE]),
)
def test_any_schedule(
    small: Flow, hops: list[int], prompt: int, tokens: int, policy: ContextPolicy
) -> None:
    case = random_case(prompt + tokens, prompt=prompt, tokens=tokens)
    state = small.start(small.prepare_prompt(*case.voice), policy)
    mel = torch.cat(speak(small, state, case.token[0], hops), dim=1)
    assert difference(mel, case.whole(small)) < TOLERANCE


@pytest.mark.parametrize("policy", [EXACT, RECOMPUTE])
@pytest.mark.parametrize(
    ("prompt", "frames"), [(50, 0), (63, 60), (30, 49), (30, 61), (25, 70), (0, 30), (28, 149)]
)
def test_a_prompt_whose_mel_is_not_as_long_as_its_tokens(
    small: Flow, prompt: int, frames: int, policy: ContextPolicy
) -> None:
    whole = random_case(prompt, prompt=prompt, tokens=40)
    mel = torch.randn(1, frames, 80, generator=torch.Generator().manual_seed(frames))
    case = replace(whole, prompt_feat=mel)
    expected = case.whole(small)
    for hops in ([40], [13, 27], [1, 1, 38]):
        state = small.start(small.prepare_prompt(*case.voice), policy)
        found = torch.cat(speak(small, state, case.token[0], hops), dim=1)
        assert difference(found, expected) < TOLERANCE


@settings(max_examples=6)
@given(hops=HOPS)
def test_a_window_gives_the_same_for_any_schedule(small: Flow, hops: list[int]) -> None:
    case = random_case(1, prompt=28, tokens=120)
    prompt, policy = small.prepare_prompt(*case.voice), ContextPolicy(window=70)
    known = speak(small, small.start(prompt, policy), case.token[0], [120])
    mels = speak(small, small.start(prompt, policy), case.token[0], hops)
    assert difference(torch.cat(mels, dim=1), known[0]) < TOLERANCE


def test_a_window_as_long_as_the_utterance_is_exact(small: Flow, case: Case) -> None:
    state = small.start(small.prepare_prompt(*case.voice), ContextPolicy.seconds(6.3))
    mels = speak(small, state, case.token[0], [60, 90])
    assert difference(torch.cat(mels, dim=1), case.whole(small)) < TOLERANCE


def test_the_first_frames_of_a_window_are_exact_and_later_ones_are_not(
    flow: Flow, case: Case, expected: Tensor
) -> None:
    state = flow.start(flow.prepare_prompt(*case.voice), ContextPolicy(window=0))
    (mel,) = speak(flow, state, case.token[0], [150])
    # The prompt is 64 frames, so the first chunk of the grid that is not the prompt's ends at 36.
    assert difference(mel[:, :36], expected[:, :36]) < TOLERANCE
    assert difference(mel[:, 36:], expected[:, 36:]) > TOLERANCE


def test_early_frames_are_those_of_the_prefix(flow: Flow, case: Case, expected: Tensor) -> None:
    state = flow.start(flow.prepare_prompt(*case.voice))
    tokens = case.token[0]
    (early,) = flow.step([state], [tokens[:13]], [False], [True])
    prefix = reference_flow.inference(
        flow, case.token[:, :13], *case.voice, streaming=True, finalize=False
    )[0]
    assert early.shape[1] == 20
    assert difference(early, prefix) < TOLERANCE
    assert difference(early, expected[:, :20]) > TOLERANCE
    later = speak(flow, state, tokens[13:], [33, 50, 54])
    assert difference(torch.cat(later, dim=1), expected[:, 20:]) < TOLERANCE


@pytest.mark.parametrize("policy", [EXACT, RECOMPUTE])
def test_early_at_every_step_never_repeats_a_frame(
    small: Flow, case: Case, policy: ContextPolicy
) -> None:
    state = small.start(small.prepare_prompt(*case.voice), policy)
    tokens, frames = case.token[0], 0
    for at in range(0, 150, 30):
        (mel,) = small.step([state], [tokens[at : at + 30]], [at == 120], [True])
        frames += mel.shape[1]
        assert frames == 2 * (at + 30 - (0 if at == 120 else 3))
    assert frames == 300


def test_nothing_said_is_no_mel(small: Flow, case: Case) -> None:
    prompt = small.prepare_prompt(*(part[:, :0] for part in case.voice[:2]), case.embedding)
    state = small.start(prompt)
    (mel,) = small.step([state], [torch.zeros(0, dtype=torch.int64)], [True])
    assert mel.shape == (80, 0)
    assert state.finished


def test_a_finished_utterance_takes_no_more(small: Flow, case: Case) -> None:
    state = small.start(small.prepare_prompt(*case.voice))
    small.step([state], [case.token[0, :5]], [True])
    with pytest.raises(ValueError, match="finished"):
        small.step([state], [case.token[0, :5]], [False])


def test_a_token_out_of_the_vocabulary_is_refused(small: Flow, case: Case) -> None:
    state = small.start(small.prepare_prompt(*case.voice))
    with pytest.raises(FlowError, match="vocabulary"):
        small.step([state], [torch.tensor([1, 216])], [False])


def test_an_utterance_may_not_outrun_the_noise(small: Flow, case: Case) -> None:
    state = small.start(small.prepare_prompt(*case.voice))
    with pytest.raises(FlowError, match="at most 15000 mel frames"):
        small.step([state], [torch.zeros(7500, dtype=torch.int64)], [False])
