import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.plan import LONGEST, Pause, Reading, Utterance, _weight, utterances
from cosyserve.engine.segmenter import Segment

ENGLISH = Reading("en-us")


def plan(text: str, reading: Reading = ENGLISH, sentence_end: bool = True) -> list[Utterance]:
    return utterances(Segment(text, 10, 10 + len(text), sentence_end), reading, lambda a, b: (a, b))


@given(st.text(st.characters(exclude_categories=()), max_size=600))
def test_offsets_hold_and_nothing_is_too_long(text: str) -> None:
    end = 10
    for utterance in plan(text):
        assert utterance.begin >= end
        end = utterance.begin + len(utterance.text)
        original = text[utterance.begin - 10 : end - 10]
        changed = [a for a, b in zip(original, utterance.text, strict=True) if a != b]
        assert all(
            not char.isprintable() or 0xD800 <= ord(char) < 0xE000 or char == "\ufeff"
            for char in changed
        )
        assert sum(map(_weight, utterance.text)) <= LONGEST
        utterance.text.encode()
    assert end <= 10 + len(text)


def test_languages_by_script() -> None:
    pieces = plan("Hello 世界 привет")
    assert [(p.text.strip(), p.language) for p in pieces] == [
        ("Hello", "en-us"),
        ("世界", "zh"),
        ("привет", "ru"),
    ]
    assert [p.language for p in plan("世界", Reading("en-us", "yue"))] == ["yue"]
    assert [p.language for p in plan("世界", Reading("yue"))] == ["yue"]


def test_kanji_is_not_given_to_the_japanese_voice() -> None:
    pieces = plan("今日はとてもいい天気です。")
    assert [(p.text, p.language) for p in pieces] == [
        ("今日", "cmn"),
        ("はとてもいい", "ja"),
        ("天気", "cmn"),
        ("です。", "ja"),
    ]


@pytest.mark.parametrize("text", ["", " ", "...", "\0\1\2", "?!", "「」", "\ud800"])
def test_nothing_to_say(text: str) -> None:
    assert plan(text) == []


def test_commands_to_the_library_are_taken_out() -> None:
    [utterance] = plan("a\x01 50Sb\0c")
    assert utterance.text == "a  50Sb c"


@pytest.mark.parametrize(
    ("text", "sentence_end", "pause"),
    [
        ("One.", True, Pause.SENTENCE),
        ("one,", False, Pause.CLAUSE),
        ('"one," ', False, Pause.CLAUSE),
        ("一，", False, Pause.CLAUSE),
        ("one", False, Pause.NONE),
    ],
)
def test_pauses(text: str, sentence_end: bool, pause: Pause) -> None:
    assert plan(text, sentence_end=sentence_end)[-1].pause is pause


def test_a_change_of_language_makes_no_pause() -> None:
    first, second = plan("My name is 小明.")
    assert first.pause is Pause.NONE
    assert second.pause is Pause.SENTENCE
