import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.utterances import (
    LONGEST,
    EspeakUtterance,
    LanguageDefaults,
    Pause,
    _weight,
    espeak_utterances,
)
from cosyserve.engine.segmentation.segmenter import Segment, TextSegmenter
from support.writing.written_forms import IN_TEXT, LONE

ENGLISH = LanguageDefaults("en-us")


def as_it_came(begin: int, end: int) -> tuple[int, int]:
    return begin, end


def plan(
    text: str, reading: LanguageDefaults = ENGLISH, sentence_end: bool = True
) -> list[EspeakUtterance]:
    segment = Segment(text, 10, 10 + len(text), sentence_end)
    return espeak_utterances(segment, reading, reading.context(), as_it_came)


@given(st.text(st.characters(exclude_categories=()), max_size=600))
def test_offsets_hold_and_nothing_is_too_long(text: str) -> None:
    end = 10
    for utterance in plan(text):
        begin, last = utterance.place(0, len(utterance.text))
        assert end <= begin <= last <= 10 + len(text)
        end = last
        for place, char in enumerate(utterance.text):
            first, last = utterance.place(place, place + 1)
            changed = text[first - 10 : last - 10] != char
            assert not changed or char == " " or char.isalnum() or char in "-,.，'"
        assert sum(map(_weight, utterance.text)) <= LONGEST
        utterance.text.encode()


def test_languages_by_script() -> None:
    pieces = plan("Hello 世界 привет")
    assert [(p.text.strip(), p.language) for p in pieces] == [
        ("Hello", "en-us"),
        ("世界", "zh"),
        ("привет", "ru"),
    ]
    assert [p.language for p in plan("世界", LanguageDefaults("en-us", "yue"))] == ["yue"]
    assert [p.language for p in plan("世界", LanguageDefaults("yue"))] == ["yue"]


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
    [utterance] = plan("a\x01 Sb\0c")
    assert utterance.text == "a  Sb c"


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


def read(default: str, *pieces: str) -> list[EspeakUtterance]:
    """All the pieces of a text that comes so."""
    reading, segmenter = LanguageDefaults(default), TextSegmenter()
    context = reading.context()
    segments = [segment for piece in pieces for segment in segmenter.feed(piece)]
    return [
        utterance
        for segment in (*segments, *segmenter.finish())
        for utterance in espeak_utterances(segment, reading, context, as_it_came)
    ]


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def spoken_letters(default: str, text: str) -> str:
    return letters("".join(utterance.text for utterance in read(default, text)))


@pytest.mark.parametrize(("text", "english", "chinese"), LONE)
def test_a_lone_form_is_read_in_the_default_language(text: str, english: str, chinese: str) -> None:
    assert spoken_letters("en-gb", text) == letters(english)
    assert spoken_letters("cmn", text) == letters(chinese)
    assert spoken_letters("yue", text) == letters(chinese)


@pytest.mark.parametrize(("text", "words"), IN_TEXT)
def test_letters_around_tell_the_language_of_a_form(text: str, words: str) -> None:
    assert spoken_letters("en-us", text) == letters(words)
    assert spoken_letters("zh", text) == letters(words)


@pytest.mark.parametrize("text", [form[0] for form in (*LONE, *IN_TEXT)])
def test_cuts_in_a_form_do_not_matter(text: str) -> None:
    around = f"We say {text} 我们说{text}吧。"
    whole = read("en-us", around)
    for cut in range(1, len(around)):
        for one, other in zip(read("en-us", around[:cut], around[cut:]), whole, strict=True):
            assert (one.text, one.begin, one.language, one.pause) == (
                other.text,
                other.begin,
                other.language,
                other.pause,
            )
            length = len(one.text)
            assert one.place(0, length) == other.place(0, length)


def test_numbers_are_spoken_by_the_voice_of_the_words_around_them() -> None:
    pieces = plan("At 6:00 sharp, 售价¥2,480，室外-12℃")
    assert [(piece.text.strip(), piece.language) for piece in pieces] == [
        ("At six o'clock sharp,", "en-us"),
        ("售价两千四百八十元，室外负十二摄氏度", "zh"),
    ]
    [lone] = plan("-12℃", LanguageDefaults("zh"))
    assert (lone.text, lone.language) == ("负十二摄氏度", "zh")


def test_a_number_after_a_clause_goes_with_its_sentence() -> None:
    reading = ENGLISH
    context = reading.context()
    espeak_utterances(Segment("今天的气温，", 0, 6, False), reading, context, as_it_came)
    [number] = espeak_utterances(Segment("-12℃。", 6, 11, True), reading, context, as_it_came)
    assert number.text == "负十二摄氏度。"
    [number] = espeak_utterances(Segment(" 12", 11, 14, True), reading, context, as_it_came)
    assert number.text == " twelve"


@pytest.mark.parametrize(("text", "default"), [("il y a 12 pommes", "fr"), ("今日は3時です", "ja")])
def test_other_languages_read_their_own_numbers(text: str, default: str) -> None:
    assert "".join(piece.text for piece in plan(text, LanguageDefaults(default))) == text


def test_words_of_an_expression_have_its_place() -> None:
    [piece] = plan("It is $2,375.40 now")
    begin, end = piece.text.index("two"), piece.text.index(" now")
    assert piece.place(begin, begin + 3) == piece.place(end - 5, end) == (16, 25)
    assert piece.place(end + 1, end + 4) == (26, 29)


def test_an_expression_in_several_pieces_is_told_once() -> None:
    places = []
    for piece in plan("id " + "12" * 60):
        places.append(piece.place(0, len(piece.text)))
    assert places[0] == (10, 133)
    assert {begin == end for begin, end in places[1:]} == {True}
    first, second = plan("听MP3吧")[1:3]
    assert (first.text, second.text) == ("MP", "三吧")
    assert (first.place(0, 2), second.place(0, 1), second.place(1, 2)) == (
        (11, 14),
        (14, 14),
        (14, 15),
    )
