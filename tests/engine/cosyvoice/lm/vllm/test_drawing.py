from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cosyserve.engine.cosyvoice.lm.bistream import LmInput
from cosyserve.engine.cosyvoice.lm.interface import SamplingOptions
from cosyserve.engine.cosyvoice.lm.sampling import UniformSource
from cosyserve.engine.cosyvoice.lm.vllm.drawing import KEY, InputDrawing, InputDraws

CHUNK = LmInput((1, 2, 3), 15, 4, (218,), (216, 217), final=False)
OPTIONS = SamplingOptions(win=4)


def drawing(**changed: Any) -> InputDrawing:
    made = InputDrawing.of_input(CHUNK, OPTIONS, [5, 6], ids=219, seed=9, drawn=100)
    return replace(made, **changed)


def test_it_travels_as_plain_numbers() -> None:
    written = drawing().written()
    assert InputDrawing.read(written) == drawing()
    assert all(isinstance(v, int | float | list) for v in written[KEY].values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"min_tokens": -1},
        {"drawn": -1},
        {"win": 257},
        {"history": (1, 2, 3, 4, 5)},
        {"history": (219,)},
        {"banned": (-1,)},
        {"held": (219,)},
        {"banned": tuple(range(218))},
        {"top_p": 0.0},
        {"top_k": 0},
    ],
)
def test_what_would_end_the_engine_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many places
        drawing(**wrong)
    lists = {name: list(v) if isinstance(v, tuple) else v for name, v in wrong.items()}
    with pytest.raises(ValueError):  # noqa: PT011
        InputDrawing.read({KEY: drawing().written()[KEY] | lists})


@pytest.mark.parametrize(
    "given",
    [None, {}, {KEY: 1}, {KEY: {"seed": 1}}, {KEY: drawing().written()[KEY] | {"win": "x"}}],
)
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=KEY):
        InputDrawing.read(given)


def test_an_input_goes_on_with_the_streams_random_numbers() -> None:
    source = UniformSource(9)
    numbers = [source.next() for _ in range(115)]
    assert drawing().uniforms() == numbers[100:]
    assert drawing(greedy=True).uniforms() == []


def test_draws_follow_from_the_inputs_tokens_alone() -> None:
    draws = InputDraws(drawing())
    numbers = drawing().uniforms()
    first = draws.next([])
    assert (first.banned, first.history, first.uniform) == ((216, 217, 218), (5, 6), numbers[0])
    later = draws.next([10, 11, 12, 13, 14])
    assert (later.banned, later.history) == ((216, 217), (11, 12, 13, 14))
    assert later.uniform == numbers[5]
    assert draws.next([10]).history == (5, 6, 10)
    assert draws.next([]) == first
    assert draws.next([1] * 15).uniform == numbers[14], "past the end"
    assert InputDraws(drawing(win=0, history=())).next([1, 2]).history == ()
    assert InputDraws(drawing(greedy=True)).next([1]).options.greedy


def test_the_least_length_is_no_longer_than_the_inputs() -> None:
    long = replace(CHUNK, min_tokens=40)
    made = InputDrawing.of_input(long, OPTIONS, [], ids=219, seed=1, drawn=0)
    assert made.min_tokens == made.max_tokens == 15


@pytest.mark.parametrize(("win", "kept"), [(0, ()), (2, (7, 8)), (10, (5, 6, 7, 8))])
def test_no_more_history_travels_than_is_looked_at(win: int, kept: tuple[int, ...]) -> None:
    how = SamplingOptions(win=win)
    made = InputDrawing.of_input(CHUNK, how, [5, 6, 7, 8], ids=219, seed=1, drawn=0)
    assert made.history == kept
