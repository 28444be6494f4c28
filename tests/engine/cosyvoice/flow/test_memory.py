"""What a session holds, by policy and by precision."""

from itertools import pairwise

import pytest
import torch

from cosyserve.engine.cosyvoice.config import FlowConfig
from cosyserve.engine.cosyvoice.flow import (
    EXACT,
    RECOMPUTE,
    ContextPolicy,
    Flow,
    FlowPrompt,
    FlowState,
    total_nbytes,
)
from cosyserve.engine.cosyvoice.flow.state import FlowTails
from support.engines.tiny_flow import random_case, small_flow

CASE = random_case(20, prompt=53, tokens=228)


@pytest.fixture(scope="module")
def flow() -> Flow:
    return small_flow()


@pytest.fixture(scope="module")
def prompt(flow: Flow) -> FlowPrompt:
    return flow.prepare_prompt(*CASE.voice)


def sizes(flow: Flow, state: FlowState, hop: int = 25) -> list[int]:
    """Bytes held after each step."""
    found = []
    for tokens in CASE.token[0].split(hop):
        flow.step([state], [tokens], [False])
        found.append(state.nbytes)
    return found


def per_chunk(flow: Flow) -> int:
    return 25 * flow.shapes.bytes_per_token(torch.float32)


def test_a_new_utterance_holds_next_to_nothing(flow: Flow, prompt: FlowPrompt) -> None:
    assert flow.start(prompt).nbytes < 100
    assert prompt.nbytes > 2 * per_chunk(flow)


def test_exact_grows_by_what_the_shapes_say(flow: Flow, prompt: FlowPrompt) -> None:
    held = sizes(flow, flow.start(prompt))
    assert {after - before for before, after in pairwise(held[1:9])} == {per_chunk(flow)}


def test_nbytes_is_what_the_storages_take(flow: Flow, prompt: FlowPrompt) -> None:
    one, other = flow.start(prompt), flow.start(prompt)
    flow.step([one, other], [CASE.token[0, :60], CASE.token[0, :90]], [False, False])
    storages = {}
    for memory in (prompt.memory, one.memory, other.memory):
        tails = memory.tails
        tensors = [part for cache in memory.caches for part in (*cache.prompt, *cache.memories)]
        assert isinstance(tails, FlowTails)
        tensors += [tails.encoder.look_ahead, tails.encoder.upsample, tails.estimator]
        for tensor in (*tensors, prompt.mel, prompt.speaker):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    for ids in (prompt.remainder, one.tokens, other.tokens):
        storages[id(ids)] = ids.nbytes
    assert total_nbytes([one, other]) == sum(storages.values())
    assert prompt.nbytes + one.nbytes + other.nbytes == sum(storages.values())


@pytest.mark.parametrize("window", [0, 30, 50, 120])
def test_a_window_is_bounded(flow: Flow, prompt: FlowPrompt, window: int) -> None:
    state = flow.start(prompt, ContextPolicy(window=window))
    sizes(flow, state, hop=100)
    own = state.memory.estimator.memories
    assert window <= sum(memory.shape[-2] for memory in own) < window + 50


def test_recompute_holds_tokens_only(flow: Flow, prompt: FlowPrompt) -> None:
    state = flow.start(prompt, RECOMPUTE)
    assert sizes(flow, state)[-1] == 8 * (228 + prompt.remainder.shape[0])


@pytest.mark.parametrize("policy", [EXACT, RECOMPUTE, ContextPolicy(window=50)])
def test_the_end_gives_everything_back(
    flow: Flow, prompt: FlowPrompt, policy: ContextPolicy
) -> None:
    state = flow.start(prompt, policy)
    flow.step([state], [CASE.token[0]], [True])
    assert state.nbytes == 0


def test_bytes_of_a_second_of_the_published_model() -> None:
    with torch.device("meta"):
        shapes = Flow(FlowConfig()).shapes
    per_second = 25 * shapes.bytes_per_token(torch.float32)
    assert per_second == 229_376_000 + 1_433_600
    assert 25 * shapes.bytes_per_token(torch.bfloat16) == per_second // 2


def test_policies_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        ContextPolicy(window=-1)
    with pytest.raises(ValueError, match="no window"):
        ContextPolicy(window=1, recompute=True)
