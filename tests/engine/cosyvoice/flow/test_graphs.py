"""Graphs give what the network gives, whatever is in their memory, and step aside where they cannot."""

import logging
from collections.abc import Callable

import pytest
import torch

from cosyserve.engine.cosyvoice.flow import EXACT, ContextPolicy, Flow, FlowPrompt
from cosyserve.engine.cosyvoice.flow.graphs import GraphCache, GraphShape, graphs_for
from support.engines.recorded_work import Recorder
from support.engines.tiny_flow import difference, random_case, small_flow

CPU = torch.device("cpu")
CASES = [random_case(seed, prompt=prompt, tokens=100) for seed, prompt in enumerate((0, 30, 140))]
TOLERANCE = 1e-4


@pytest.fixture
def flow() -> Flow:
    return small_flow()


def graphs(capture: Callable[..., Callable[[], None]], nbytes: int = 1 << 26) -> GraphCache:
    return GraphCache(capture, nbytes, CPU)


def prompts(flow: Flow) -> list[FlowPrompt]:
    return [flow.prepare_prompt(*case.voice) for case in CASES]


def spoken(flow: Flow, policy: ContextPolicy = EXACT) -> list[torch.Tensor]:
    """Three utterances at once, of different contexts, with an early first hop."""
    states = [flow.start(prompt, policy) for prompt in prompts(flow)]
    mels: list[list[torch.Tensor]] = [[] for _ in states]
    for begin, end in ((0, 14), (14, 45), (45, 70), (70, 100)):
        pieces = [case.token[0, begin:end] for case in CASES]
        step = flow.step(states, pieces, [end == 100] * 3, [begin == 0] * 3)
        for mel, new in zip(mels, step, strict=True):
            mel.append(new)
    return [torch.cat(mel, dim=1) for mel in mels]


@pytest.mark.parametrize("policy", [EXACT, ContextPolicy(window=70)])
def test_the_same_mels_as_without(flow: Flow, policy: ContextPolicy) -> None:
    known = spoken(flow, policy)
    recorder = Recorder()
    flow.use_graphs(graphs(recorder))
    assert flow.graphs is not None
    for mel, expected in zip(spoken(flow, policy), known, strict=True):
        assert difference(mel, expected) < TOLERANCE
    assert not flow.graphs.failed
    # Each recording is tried once, and each pass replays once per Euler step.
    assert recorder.replays == len(flow.graphs) + flow.config.steps * flow.graphs.passes
    assert flow.graphs.passes > len(flow.graphs) > 1


def test_in_half_precision(flow: Flow) -> None:
    flow.use_precision(torch.bfloat16)
    known = spoken(flow)
    flow.use_graphs(graphs(Recorder()))
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert difference(mel, expected) < 0.1
    assert flow.graphs is not None
    assert flow.graphs.passes > 2


def test_what_is_left_in_the_memory_is_not_seen(flow: Flow) -> None:
    known = spoken(flow)

    cache = graphs(Recorder())
    flow.use_graphs(cache)
    spoken(flow)
    cache._room.fill_(0xFF)  # not a number, in any precision
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert difference(mel, expected) < TOLERANCE


def test_a_recording_that_fails_is_the_last(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    known, tried = spoken(flow), []

    def broken(work: Callable[[], None]) -> Callable[[], None]:
        tried.append(work)
        raise RuntimeError("operation not permitted when stream is capturing")

    cache = graphs(broken)
    flow.use_graphs(cache)
    with caplog.at_level(logging.WARNING):
        mels = spoken(flow)
    assert all(torch.equal(mel, expected) for mel, expected in zip(mels, known, strict=True))
    assert cache.failed
    assert (len(tried), cache.passes, cache.nbytes) == (1, 0, 0)
    assert "not permitted" in caplog.text


def test_a_replay_that_does_nothing_is_found_out(flow: Flow) -> None:
    known = spoken(flow)

    def deaf(work: Callable[[], None]) -> Callable[[], None]:
        work()
        return lambda: None

    cache = graphs(deaf)
    flow.use_graphs(cache)
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert torch.equal(mel, expected)
    assert cache.failed


def test_an_odd_length_is_recorded_when_it_has_come_often(flow: Flow) -> None:
    case, cache = CASES[1], graphs(Recorder())
    prompt = flow.prepare_prompt(*case.voice)
    flow.use_graphs(cache)
    recorded = []
    for _ in range(4):
        flow.step([flow.start(prompt)], [case.token[0, :10]], [False], [True])
        recorded.append((len(cache), cache.passes))
    assert recorded == [(0, 0), (0, 0), (1, 1), (1, 2)]


def test_contexts_that_need_more_memory_do_without(flow: Flow) -> None:
    case, each = CASES[2], flow.shapes.estimator
    layers = each.layers // flow.config.steps
    shape = GraphShape.around(1, each.batch, 50, 256, torch.float32)
    cache = graphs(Recorder(), 4 * shape.elements(layers, each.heads, each.head_dim))
    flow.use_graphs(cache)
    state = flow.start(flow.prepare_prompt(*case.voice))
    mels = flow.step([state], [case.token[0, :25]], [False])
    served = cache.passes
    for begin in (25, 50, 75):
        new = case.token[0, begin : begin + 25]
        mels += flow.step([state], [new], [begin == 75])
    assert served == cache.passes > 0
    assert difference(torch.cat(mels, dim=1), case.whole(flow)) < TOLERANCE
    assert not cache.failed


def test_shapes_are_rounded_up() -> None:
    assert GraphShape.around(3, 2, 50, 300, torch.float16) == GraphShape(8, 50, 518, torch.float16)
    assert GraphShape.around(1, 2, 48, 0, torch.float16) == GraphShape(2, 48, 256, torch.float16)


def test_none_off_cuda_and_none_when_switched_off() -> None:
    assert graphs_for(CPU, "auto") is None
    assert graphs_for(torch.device("cuda"), "off") is None
