from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.sound import WordClock, WordMark
from cosyserve.engine.embedded.utterances import word_stretches


def times(text: str, *marks: tuple[int, int], end: int = 1000) -> list[tuple[int, int, str]]:
    stretches = word_stretches(text)
    clock = WordClock(text, stretches)
    words = clock.feed([WordMark(*mark) for mark in marks], whole)
    words += clock.finish(end, whole)
    return [(word.begin, word.end, text[slice(*stretches[word.word])]) for word in words]


def whole(begin: int, end: int) -> int:
    return end


@pytest.mark.parametrize(
    ("text", "marks", "told"),
    [
        ("one two", [(0, 0), (400, 4)], [(0, 400, "one"), (400, 1000, "two")]),
        ("one two", [(50, 0), (400, 4)], [(50, 400, "one"), (400, 1000, "two")]),
        ("no one", [(0, 0)], [(0, 400, "no"), (400, 1000, "one")]),
        ("in the U", [(100, 0), (600, 7)], [(100, 300, "in"), (300, 600, "the"), (600, 1000, "U")]),
        ("one two", [], [(0, 500, "one"), (500, 1000, "two")]),
        ("one two", [(400, 4)], [(0, 400, "one"), (400, 1000, "two")]),
        ("one two", [(0, 4)], [(0, 500, "one"), (500, 1000, "two")]),
        # Parts of a word, blanks, and marks that go back begin no word.
        ("3.14 two", [(0, 0), (99, 1), (200, 1), (400, 5)], [(0, 400, "3.14"), (400, 1000, "two")]),
        ("one two", [(0, 0), (99, 3), (400, 4), (500, 1)], [(0, 400, "one"), (400, 1000, "two")]),
        ("one two", [(0, 0), (400, 4), (600, 7), (700, -1)], [(0, 400, "one"), (400, 1000, "two")]),
        # A sign that is spoken is no word, and no part of one.
        ("1 - 2", [(0, 0), (300, 2), (600, 4)], [(0, 300, "1"), (600, 1000, "2")]),
        ("1 - 2", [(0, 0), (300, 2)], [(0, 300, "1"), (300, 1000, "2")]),
        # A number after a Han is told as if it were part of it.
        (
            "有3个",
            [(0, 0), (300, 0), (700, 2)],
            [(0, 300, "有"), (300, 700, "3"), (700, 1000, "个")],
        ),
        # Emoji are told by marks alone.
        (
            "a 😀 ♪ b",
            [(0, 0), (300, 2), (700, 6)],
            [(0, 300, "a"), (300, 700, "😀"), (700, 1000, "b")],
        ),
        ("", [(0, 0)], []),
    ],
)
def test_times(text: str, marks: list[tuple[int, int]], told: list[tuple[int, int, str]]) -> None:
    assert times(text, *marks) == told


def test_words_end_before_the_silence_after_them() -> None:
    clock = WordClock("no one said", [(0, 2), (3, 6), (7, 11)])
    words = clock.feed([WordMark(0, 0), WordMark(900, 7)], lambda begin, end: begin + 500)
    assert [word[:2] for word in words] == [(0, 200), (200, 500)]
    assert clock.open_since == 900
    assert [word[:2] for word in clock.finish(2000, lambda begin, end: 1500)] == [(900, 1500)]
    assert clock.open_since is None


@given(
    st.text(st.sampled_from("ab1 银行-’.,—“"), max_size=20),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(-2, 22)), max_size=12),
)
def test_each_word_is_told_once_in_order_whatever_the_marks(
    text: str, marks: list[tuple[int, int]]
) -> None:
    told = times(text, *sorted(marks))
    assert [word for _, _, word in told] == [text[a:b] for a, b in word_stretches(text)]
    assert all(0 <= begin <= end <= 1000 for begin, end, _ in told)
    assert all(one[1] <= other[0] for one, other in pairwise(told))
