"""Several utterances at once: batches, shared prompts, copies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cosyserve.benchmarks.parity.reference.flow import Case, speak
from cosyserve.engine.cosyvoice.flow import EXACT, RECOMPUTE, ContextPolicy, Flow, FlowPrompt
from support.engines.tiny_flow import STORES, difference, kept_in, random_case, small_flow

TOLERANCE = 1e-4
POLICIES = [EXACT, EXACT, ContextPolicy(window=60), RECOMPUTE]
CASES = [
    random_case(10, prompt=32, tokens=90),
    random_case(11, prompt=60, tokens=77),
    random_case(12, prompt=0, tokens=100),
    random_case(13, prompt=9, tokens=64),
]


@pytest.fixture(scope="module", params=STORES)
def flow(request: pytest.FixtureRequest) -> Flow:
    return kept_in(request.param, small_flow())


@pytest.fixture(scope="module")
def prompts(flow: Flow) -> list[FlowPrompt]:
    return [flow.prepare_prompt(*case.voice) for case in CASES]


def pieces(case: Case, hop: int) -> list[torch.Tensor]:
    return list(case.token[0].split(hop))


@settings(max_examples=5)
@given(hops=st.lists(st.sampled_from([7, 25, 30, 50, 100]), min_size=4, max_size=4))
def test_a_batch_gives_what_each_would_alone(
    flow: Flow, prompts: list[FlowPrompt], hops: list[int]
) -> None:
    alone = [
        speak(flow, flow.start(prompt, policy), case.token[0], [case.token.shape[1]])[0]
        for prompt, policy, case in zip(prompts, POLICIES, CASES, strict=True)
    ]
    states = [flow.start(prompt, policy) for prompt, policy in zip(prompts, POLICIES, strict=True)]
    queues = [pieces(case, hop) for case, hop in zip(CASES, hops, strict=True)]
    mels: list[list[torch.Tensor]] = [[] for _ in states]
    while live := [i for i, queue in enumerate(queues) if queue]:
        tokens = [queues[i].pop(0) for i in live]
        final = [not queues[i] for i in live]
        for i, mel in zip(live, flow.step([states[i] for i in live], tokens, final), strict=True):
            mels[i].append(mel)
    for mine, known in zip(mels, alone, strict=True):
        assert difference(torch.cat(mine, dim=1), known) < TOLERANCE


def test_sessions_of_one_chunk_make_one_pass(flow: Flow, prompts: list[FlowPrompt]) -> None:
    states = [flow.start(prompt) for prompt in prompts[:3]]
    before = flow.stats.passes
    mels = flow.step(states, [case.token[0, :30] for case in CASES[:3]], [False] * 3)
    assert flow.stats.passes == before + 1
    assert all(mel.shape[1] for mel in mels)


def test_sessions_share_a_prompt_and_do_not_disturb_each_other(
    flow: Flow, prompts: list[FlowPrompt]
) -> None:
    prompt, case = prompts[1], CASES[1]
    kept = [part.clone() for cache in prompt.memory.caches for part in cache.prompt]
    one, other = flow.start(prompt), flow.start(prompt)
    mine: list[torch.Tensor] = []
    for at in range(0, 77, 20):
        end = min(at + 20, 77)
        mine += flow.step([one], [case.token[0, at:end]], [end == 77])
        flow.step([other], [case.token[0, at:end].flip(0)], [False])
    assert difference(torch.cat(mine, dim=1), case.whole(flow)) < TOLERANCE
    parts = [part for cache in prompt.memory.caches for part in cache.prompt]
    assert kept
    assert all(torch.equal(part, old) for part, old in zip(parts, kept, strict=True))


def test_a_copy_goes_its_own_way(flow: Flow, prompts: list[FlowPrompt]) -> None:
    case = CASES[0]
    state = flow.start(prompts[0])
    begun = flow.step([state], [case.token[0, :50]], [False])
    twin = state.copy()
    flow.step([twin], [case.token[0, :40]], [True])
    rest = flow.step([state], [case.token[0, 50:]], [True])
    assert difference(torch.cat(begun + rest, dim=1), case.whole(flow)) < TOLERANCE
