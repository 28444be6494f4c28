from __future__ import annotations

import pytest

from cosyserve.engine.interface import Work
from cosyserve.protocol.errors import InvalidState
from cosyserve.protocol.messages import Heard, Sentence, TaskFinished, Word
from cosyserve.protocol.task import ENDED_REMEMBERED
from cosyserve.server.tasks.places import MOST_PLACES, EndedTasks, SpokenPlaces
from cosyserve.server.tasks.synthesis import SpokenChunk

TEXT = "One two. Three."
WORDS = (
    Word("One", 0.0, 0.2, 0, 3),
    Word("two", 0.25, 0.4, 4, 7),
    Word("Three", 0.6, 1.0, 9, 14),
)
SENTENCES = (Sentence(0, 0, 8, "One two."), Sentence(1, 9, 15, "Three."))


def spoken(exact: bool) -> SpokenPlaces:
    """The text in two chunks, 0.5 s and 0.6 s long."""
    places = SpokenPlaces(exact=exact)
    places.add(SpokenChunk(b"", 0.5, Work(), 0.0, WORDS[:2], SENTENCES[:1]), 0.0)
    places.add(SpokenChunk(b"", 0.6, Work(), 0.0, WORDS[2:], SENTENCES[1:]), 0.5)
    return places


@pytest.mark.parametrize(
    ("played", "text_end"),
    [(0, 0), (0.199, 0), (0.2, 3), (0.3, 3), (0.4, 7), (0.5, 7), (0.999, 7), (1.0, 14), (1.1, 14)],
)
def test_words_are_heard_once_they_have_ended(played: float, text_end: int) -> None:
    assert spoken(exact=True).heard(played) == Heard(played, text_end, False)


@pytest.mark.parametrize(("played", "text_end"), [(0, 0), (0.49, 0), (0.5, 9), (1.1, 9)])
def test_a_sentence_is_heard_once_the_next_one_begins(played: float, text_end: int) -> None:
    assert spoken(exact=False).heard(played) == Heard(played, text_end, True)


@pytest.mark.parametrize("exact", [True, False])
def test_all_of_a_whole_speech_is_all_of_the_text(exact: bool) -> None:
    places = spoken(exact)
    places.end(len(TEXT))
    assert places.heard(1.1).text_end == len(TEXT)
    assert places.heard(1.0).text_end < len(TEXT)


@pytest.mark.parametrize("exact", [True, False])
def test_more_than_the_sound_is_all_of_the_sound(exact: bool) -> None:
    places = spoken(exact)
    assert places.heard(1e300) == places.heard(1.1)
    assert places.heard(1e300).played == pytest.approx(1.1)
    assert SpokenPlaces(exact=exact).heard(5.0) == Heard(0.0, 0, not exact)


def test_milliseconds_are_fine_enough() -> None:
    places = SpokenPlaces(exact=True)
    places.add(SpokenChunk(b"", 1.0, Work(), 0.0, (Word("a", 0.0, 0.1004, 0, 1),)), 0.0)
    assert places.heard(0.1).text_end == 1  # the wire tells 0.1004 as 100 ms


def ended(words: int) -> SpokenPlaces:
    places = SpokenPlaces(exact=True)
    heard = tuple(Word("a", n, n + 1, n, n + 1) for n in range(words))
    places.add(SpokenChunk(b"", words, Work(), 0.0, heard), 0.0)
    return places


def test_an_ended_task_is_told_of_once() -> None:
    tasks = EndedTasks()
    tasks.keep(TaskFinished("a", "stop", 12), ended(3))
    assert tasks.cancelled("a", 2.0) == TaskFinished(
        "a", "cancelled", 12, heard=Heard(2.0, 2, False)
    )
    with pytest.raises(InvalidState, match="ended too long ago"):
        tasks.cancelled("a", 2.0)


def test_a_task_with_a_known_id_takes_the_other_ones_place() -> None:
    tasks = EndedTasks()
    for words in (3, 2):
        tasks.keep(TaskFinished("a"), ended(words))
    heard = tasks.cancelled("a", 9.0).heard
    assert heard is not None
    assert heard.text_end == 2


def test_the_oldest_tasks_are_forgotten() -> None:
    tasks = EndedTasks()
    part = MOST_PLACES // 4
    for name in "abcde":
        tasks.keep(TaskFinished(name), ended(part))
    with pytest.raises(InvalidState):
        tasks.cancelled("a", 1.0)
    assert all(tasks.cancelled(name, 1.0).heard for name in "bcde")
    for number in range(ENDED_REMEMBERED + 1):
        tasks.keep(TaskFinished(str(number)), ended(1))
    with pytest.raises(InvalidState):
        tasks.cancelled("0", 1.0)
    assert tasks.cancelled("1", 1.0).heard
    tasks.keep(TaskFinished("f"), ended(MOST_PLACES + 1))
    with pytest.raises(InvalidState):
        tasks.cancelled("f", 1.0)
