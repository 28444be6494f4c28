from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.origins import Origins

Steps = list[tuple[int, int, bool]]
STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=12)


def built(steps: Steps) -> tuple[Origins, list[tuple[int, int]]]:
    """A map, and what each character of the derived text stands for."""
    origins, places, at = Origins(), [], 0
    for source, length, copies in steps:
        if copies:
            origins.copy(source)
            places += [(at + i, at + i + 1) for i in range(source)]
        else:
            origins.replace(source, length)
            places += [(at, at + source)] * length
        at += source
    return origins, places


def test_a_text_that_is_its_source() -> None:
    assert Origins.same(5).source(1, 3) == (1, 3)


def test_what_is_left_out_moves_what_follows() -> None:
    origins = Origins()  # **bold**
    origins.replace(2, 0)
    origins.copy(4)
    origins.replace(2, 0)
    assert origins.source(0, 4) == (2, 6)
    assert (origins.length, origins.source_length) == (4, 8)


def test_each_part_of_a_replacement_stands_for_all_it_replaces() -> None:
    origins = Origins()  # a $5 b -> a five dollars b
    origins.copy(2)
    origins.replace(2, 12)
    origins.copy(2)
    assert origins.source(2, 6) == origins.source(7, 14) == (2, 4)
    assert origins.source(0, 16) == (0, 6)


@pytest.mark.parametrize(("begin", "end"), [(-1, 0), (0, 4), (2, 1)])
def test_places_outside_are_refused(begin: int, end: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        Origins.same(3).source(begin, end)


@given(STEPS)
def test_every_character_leads_to_its_source(steps: Steps) -> None:
    origins, places = built(steps)
    assert origins.length == len(places)
    assert [origins.source(i, i + 1) for i in range(len(places))] == places


@given(STEPS, st.data())
def test_maps_join(steps: Steps, data: st.DataObject) -> None:
    first, places = built(steps)
    second, at, expected = Origins(), 0, []
    while at < len(places):
        source = data.draw(st.integers(1, len(places) - at))
        length = data.draw(st.integers(0, 3))
        if data.draw(st.booleans()):
            second.copy(source)
            expected += places[at : at + source]
        else:
            second.replace(source, length)
            expected += [(places[at][0], places[at + source - 1][1])] * length
        at += source
    joined = first.then(second)
    assert [joined.source(i, i + 1) for i in range(joined.length)] == expected


def test_a_map_beyond_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        Origins.same(2).then(Origins.same(3))


def test_a_map_goes_on_with_another() -> None:
    origins = Origins.same(3)
    origins.replace(2, 5)
    following = Origins()
    following.replace(1, 0)
    following.copy(2)
    following.replace(4, 1)
    origins.extend(following)
    assert (origins.length, origins.source_length) == (11, 12)
    assert [origins.source(at, at + 1) for at in (2, 3, 8, 9, 10)] == [
        (2, 3),
        (3, 5),
        (6, 7),
        (7, 8),
        (8, 12),
    ]
