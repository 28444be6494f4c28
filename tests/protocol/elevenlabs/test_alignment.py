"""Characters and their times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.elevenlabs.alignment import (
    CharacterSpans,
    CharacterTimes,
    in_milliseconds,
    in_seconds,
    joined,
)
from cosyserve.protocol.messages import Word


def word(text: str, begin: float, end: float, at: int) -> Word:
    return Word(text, begin, end, at, at + len(text))


def times_of(text: str) -> CharacterTimes:
    times = CharacterTimes()
    times.feed(text)
    return times


def test_the_characters_of_a_word_share_its_time_evenly() -> None:
    found = times_of("Hey").take([word("Hey", 0.3, 0.6, 0)], 1.0)
    assert found is not None
    assert found.characters == "Hey"
    assert found.starts == pytest.approx((0.3, 0.4, 0.5))
    assert found.ends == pytest.approx((0.4, 0.5, 1.0))


def test_what_stands_after_a_word_begins_at_its_end_and_lasts_until_the_next() -> None:
    words = [word("a", 0.0, 0.2, 0), word("b", 0.5, 0.6, 3)]
    found = times_of("a, b!").take(words, 0.6)
    assert found is not None
    assert found.characters == "a, b!"
    assert found.starts == pytest.approx((0.0, 0.2, 0.2, 0.5, 0.6))
    assert found.ends == pytest.approx((0.2, 0.2, 0.5, 0.6, 0.6))


def test_what_stands_before_the_first_word_has_the_silence_before_it() -> None:
    found = times_of('"a').take([word("a", 0.2, 0.4, 1)], 0.4)
    assert found is not None
    assert (found.characters, found.starts) == ('"a', (0.0, 0.2))


def test_a_character_goes_with_the_chunk_that_it_begins_in() -> None:
    times = times_of("abcd ef")
    first = times.take([word("abcd", 0.0, 0.4, 0)], 0.25)
    assert first is not None
    assert first.characters == "abc"
    assert first.ends[-1] == pytest.approx(0.25)
    assert times.take([], 0.28) is None
    last = times.take([word("ef", 0.5, 0.7, 5)], 0.7)
    assert last is not None
    assert last.characters == "d ef"
    assert last.starts == pytest.approx((0.3, 0.4, 0.5, 0.6))
    assert times.remainder() is None


def test_text_that_comes_after_its_word_was_told_follows_later() -> None:
    times = times_of("one")
    first = times.take([word("one", 0.0, 0.3, 0)], 0.3)
    times.feed(" two")
    times.feed(" ")
    second = times.take([word("two", 0.3, 0.6, 4)], 0.6)
    assert first is not None
    assert second is not None
    assert (first.characters, second.characters) == ("one", " two ")


def test_the_rest_is_what_no_word_ended() -> None:
    times = times_of("one")
    times.take([word("one", 0.0, 0.3, 0)], 0.3)
    times.feed("?! \U0001f642")
    rest = times.remainder()
    assert rest is not None
    assert rest.characters == "?! \U0001f642"
    assert set(rest.starts) == {0.3}
    assert times.remainder() is None


def test_without_any_word_there_is_nothing_to_tell() -> None:
    times = times_of("one two")
    assert times.take([], 1.0) is None
    assert times.remainder() is None


def test_words_that_overlap_or_go_back_still_give_each_character_once_in_order() -> None:
    words = [word("one", 0.2, 0.5, 0), word("one", 0.1, 0.3, 0), word("two", 0.3, 0.4, 4)]
    found = times_of("one two").take(words, 1.0)
    assert found is not None
    assert found.characters == "one two"
    assert list(found.starts) == sorted(found.starts)


@given(
    st.lists(st.tuples(st.text("abc", min_size=1, max_size=5), st.sampled_from([" ", ", ", ". "])),
             min_size=1, max_size=8),
    st.lists(st.floats(0.05, 0.9), min_size=1, max_size=8),
)  # fmt: skip
def test_every_cut_of_the_speech_tells_the_same(
    spoken: list[tuple[str, str]], cuts: list[float]
) -> None:
    text = "".join(each + gap for each, gap in spoken)
    words, at = [], 0
    for number, (each, gap) in enumerate(spoken):
        words.append(word(each, number * 0.5, number * 0.5 + 0.4, at))
        at += len(each + gap)
    length = len(spoken) * 0.5
    whole = times_of(text).take(words, length)

    times, parts, before = times_of(text), [], 0.0
    for cut in [*sorted(cut * length for cut in cuts), length]:
        begun = [each for each in words if before <= each.begin < cut]
        parts.append(times.take(begun, cut))
        before = cut
    assert times.remainder() is None
    found = joined(parts)
    assert whole is not None
    assert found is not None
    assert found.characters == whole.characters == text
    assert found.starts == pytest.approx(whole.starts)


def test_milliseconds_count_from_the_origin() -> None:
    found = CharacterSpans("ab", (1.25, 1.3), 1.5)
    assert in_milliseconds(found, 0) == {
        "chars": ["a", "b"], "charStartTimesMs": [1250, 1300], "charDurationsMs": [50, 200],
    }  # fmt: skip
    assert in_milliseconds(found, 1200)["charStartTimesMs"] == [50, 100]


def test_seconds_count_from_the_beginning() -> None:
    assert in_seconds(CharacterSpans("ab", (1.25, 1.3), 1.5)) == {
        "characters": ["a", "b"],
        "character_start_times_seconds": [1.25, 1.3],
        "character_end_times_seconds": [1.3, 1.5],
    }


def test_parts_without_characters_do_not_count() -> None:
    part = CharacterSpans("ab", (0.0, 0.1), 0.2)
    assert joined([None, part, None]) == part
    assert joined([None]) is None
