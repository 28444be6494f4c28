"""Hops: every token once, borders on the grid, the first one whatever the timing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.scheduling.chunker import Hop, HopPolicy, Listener, TokenChunker

CHUNK, AHEAD = 25, 3


def chunker(policy: HopPolicy, prompt: int = 0) -> TokenChunker:
    return TokenChunker(policy, chunk=CHUNK, look_ahead=AHEAD, prompt_tokens=prompt)


def run(policy: HopPolicy, prompt: int, pieces: list[int], buffered: list[float]) -> list[Hop]:
    """All hops of a text whose tokens come in pieces of these lengths."""
    made = chunker(policy, prompt)
    hops: list[Hop] = []
    count = 0

    def take() -> None:
        while hop := made.take(buffered[len(hops) % len(buffered)]):
            hops.append(hop)

    for piece in pieces:
        made.add(range(count, count + piece))
        count += piece
        take()
    made.finish()
    take()
    return hops


policies = st.builds(
    HopPolicy, st.integers(0, 60), st.integers(25, 200), st.floats(0, 8, allow_nan=False)
)


@given(
    policies,
    st.integers(0, 80),
    st.lists(st.integers(0, 60), max_size=12),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=6),
)
def test_every_token_goes_once_and_in_order(
    policy: HopPolicy, prompt: int, pieces: list[int], buffered: list[float]
) -> None:
    hops = run(policy, prompt, pieces, buffered)
    assert [token for hop in hops for token in hop.tokens] == list(range(sum(pieces)))
    assert [hop.final for hop in hops] == [False] * (len(hops) - 1) + [True]


@given(
    policies,
    st.integers(0, 80),
    st.lists(st.integers(0, 60), max_size=12),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=6),
)
def test_only_the_first_hop_may_end_off_the_grid(
    policy: HopPolicy, prompt: int, pieces: list[int], buffered: list[float]
) -> None:
    given_tokens = 0
    for number, hop in enumerate(run(policy, prompt, pieces, buffered)):
        given_tokens += len(hop.tokens)
        if hop.final:
            assert not hop.early
            continue
        on_grid = (prompt + given_tokens - AHEAD) % CHUNK == 0
        assert hop.early is not on_grid
        assert on_grid or number == 0
        assert len(hop.tokens) <= max(policy.longest, 2 * CHUNK, policy.first) + CHUNK + AHEAD


@given(policies, st.integers(0, 80), st.integers(0, 200), st.lists(st.integers(1, 40)))
def test_the_first_hop_depends_on_the_tokens_alone(
    policy: HopPolicy, prompt: int, total: int, cuts: list[int]
) -> None:
    whole = run(policy, prompt, [total], [30.0])
    places = sorted({min(total, cut) for cut in cuts} | {0, total})
    pieces = [after - before for before, after in pairwise(places)]
    assert run(policy, prompt, pieces, [0.0])[0] == whole[0]


def test_the_first_hop_is_short_and_the_reference_begins_with_a_chunk() -> None:
    assert len(run(HopPolicy(first=10), 0, [100], [0.0])[0].tokens) == 10 + AHEAD
    assert len(run(HopPolicy(first=0), 32, [100], [0.0])[0].tokens) == 25 + 18 + AHEAD


def test_hops_grow_while_much_is_buffered_and_shrink_when_it_is_not() -> None:
    made = chunker(HopPolicy(first=0, longest=100, comfortable=3.0))
    made.add(range(1000))
    lengths = [len(hop.tokens) for seconds in (9, 9, 9, 9, 1) if (hop := made.take(seconds))]
    assert lengths == [25 + AHEAD, 50, 100, 100, 25]


def test_a_grown_hop_does_not_hold_sound_back() -> None:
    made = chunker(HopPolicy(first=0, longest=100, comfortable=1.0))
    made.add(range(28))
    assert made.take(9.0)
    made.add(range(28, 60))
    hop = made.take(9.0)
    assert hop is not None
    assert len(hop.tokens) == 25


@pytest.mark.parametrize("wrong", [{"first": -1}, {"longest": 0}, {"comfortable": -1.0}])
def test_wrong_policies_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least"):
        HopPolicy(**wrong)  # type: ignore[arg-type]


def test_a_listener_waits_from_its_first_text() -> None:
    listener = Listener(begun=10.0)
    assert listener.deadline(20.0) == 10.0
    listener.made(2.0)
    assert listener.deadline(20.0) == 22.0
    assert listener.buffered(20.0) == 2.0
    listener.read(2.0, 20.0)
    assert listener.unread == 0.0
    assert listener.deadline(21.0) == 22.0
    assert listener.buffered(21.0) == 1.0
    assert listener.deadline(30.0) == 30.0
