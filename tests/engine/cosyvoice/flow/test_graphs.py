"""Graphs give what the network gives, whatever is in their memory, and step aside where they cannot."""

import logging
from collections.abc import Callable

import pytest
import torch

from cosyserve.engine.cosyvoice.flow import EXACT, ContextPolicy, Flow, FlowPrompt
from cosyserve.engine.cosyvoice.flow.graphs import GraphCache, GraphShape, graphs_for
from cosyserve.engine.cosyvoice.flow.pages import PagedStep, PageTable
from cosyserve.engine.cosyvoice.flow.stores import PagedStore
from support.engines.recorded_work import Recorder
from support.engines.tiny_flow import difference, kept_in, random_case, small_flow

CASES = [random_case(seed, prompt=prompt, tokens=100) for seed, prompt in enumerate((0, 30, 140))]
TOLERANCE = 1e-4


@pytest.fixture
def flow() -> Flow:
    return kept_in("pages", small_flow(), 100)


def graphs(
    flow: Flow, capture: Callable[..., Callable[[], None]], nbytes: int = 1 << 26, sessions: int = 3
) -> GraphCache:
    return GraphCache(flow, capture, sessions, nbytes)


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
    flow.use_graphs(graphs(flow, recorder))
    assert flow.graphs is not None
    for mel, expected in zip(spoken(flow, policy), known, strict=True):
        assert difference(mel, expected) < TOLERANCE
    assert not flow.graphs.failed
    # Each recording is tried once, and each pass is one replay.
    assert recorder.replays == len(flow.graphs) + flow.graphs.counts.passes
    assert flow.graphs.counts.passes > len(flow.graphs) > 1


def test_in_half_precision(flow: Flow) -> None:
    flow.use_precision(torch.bfloat16)
    kept_in("pages", flow, 100)
    known = spoken(flow)
    flow.use_graphs(graphs(flow, Recorder()))
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert difference(mel, expected) < 0.1
    assert flow.graphs is not None
    assert flow.graphs.counts.passes > 2


def test_what_is_left_in_the_memory_is_not_seen(flow: Flow) -> None:
    known = spoken(flow)
    cache = graphs(flow, Recorder())
    flow.use_graphs(cache)
    spoken(flow)
    assert isinstance(flow.store, PagedStore)
    for pool in flow.store.pools:
        pool.memory[:, :, pool.rows :] = torch.nan  # all but the page of zeros
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert difference(mel, expected) < TOLERANCE
    assert not cache.failed


def test_a_recording_that_fails_is_the_last(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    known, tried = spoken(flow), []

    def broken(work: Callable[[], None]) -> Callable[[], None]:
        tried.append(work)
        raise RuntimeError("operation not permitted when stream is capturing")

    cache = graphs(flow, broken)
    flow.use_graphs(cache)
    with caplog.at_level(logging.WARNING):
        mels = spoken(flow)
    assert all(torch.equal(mel, expected) for mel, expected in zip(mels, known, strict=True))
    assert cache.failed
    assert (len(tried), cache.counts.passes) == (1, 0)
    assert cache.counts.without > 2
    assert "not permitted" in caplog.text


def test_a_replay_that_does_nothing_is_found_out(flow: Flow) -> None:
    known = spoken(flow)

    def deaf(work: Callable[[], None]) -> Callable[[], None]:
        work()
        return lambda: None

    cache = graphs(flow, deaf)
    flow.use_graphs(cache)
    for mel, expected in zip(spoken(flow), known, strict=True):
        assert torch.equal(mel, expected)
    assert cache.failed


def test_an_odd_length_is_recorded_when_it_has_come_often(flow: Flow) -> None:
    case, cache = CASES[1], graphs(flow, Recorder())
    prompt = flow.prepare_prompt(*case.voice)
    flow.use_graphs(cache)
    recorded = []
    for _ in range(4):
        flow.step([flow.start(prompt)], [case.token[0, :10]], [False], [True])
        recorded.append((len(cache), cache.counts.passes))
    assert recorded == [(0, 0), (0, 0), (1, 1), (1, 2)]


def test_contexts_that_need_more_memory_do_without(flow: Flow) -> None:
    case, each = CASES[2], flow.shapes.estimator
    room = 2 * each.batch * each.heads * each.head_dim * 4 * (4 * 50 + 50)
    cache = graphs(flow, Recorder(), room)
    flow.use_graphs(cache)
    prompt = flow.prepare_prompt(*case.voice)
    alone, *pair = [flow.start(prompt) for _ in range(3)]
    mels = flow.step([alone], [case.token[0, :60]], [False])
    served = cache.counts.passes
    flow.step(pair, [case.token[0, :60]] * 2, [False] * 2)
    assert (cache.counts.passes, cache.failed) == (served, False)
    mels += flow.step([alone], [case.token[0, 60:]], [True])
    assert served > 0
    assert difference(torch.cat(mels, dim=1), case.whole(flow)) < TOLERANCE


def test_more_sessions_than_it_was_made_for_do_without(flow: Flow) -> None:
    cache = graphs(flow, Recorder(), sessions=2)
    flow.use_graphs(cache)
    states = [flow.start(flow.prepare_prompt(*CASES[0].voice)) for _ in range(3)]
    served = cache.counts.passes
    flow.step(states, [CASES[0].token[0, :30]] * 3, [False] * 3)
    assert cache.counts.passes == served
    flow.step(states[:2], [CASES[0].token[0, 30:60]] * 2, [False] * 2)
    assert cache.counts.passes == served + 1


@pytest.mark.parametrize(
    ("sessions", "pages", "slots", "room"),
    [(1, 0, 1, 4), (3, 4, 4, 4), (5, 5, 8, 8), (64, 17, 64, 24), (64, 33, 64, 48)],
)
def test_shapes_are_rounded_up(
    flow: Flow, sessions: int, pages: int, slots: int, room: int
) -> None:
    table = PageTable(torch.zeros(sessions, pages + 1, dtype=torch.int64), None, 1)
    assert isinstance(flow.store, PagedStore)
    step = PagedStep(flow.store.estimator, table, 50, torch.float32)
    assert GraphShape.around(step) == GraphShape(slots, room, 50, 1, torch.float32)


def test_none_off_cuda_and_none_when_switched_off(flow: Flow) -> None:
    assert graphs_for(flow, "auto", 4) is None
    assert graphs_for(flow, "off", 4) is None
