"""Documents to runs, silences and marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.interface import Sounds
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.ssml.document import (
    CLAUSE_PAUSE,
    SENTENCE_PAUSE,
    MarkPlace,
    Run,
    Silence,
    SpokenDocument,
    spoken_document,
)
from cosyserve.server.ssml.parse import Prosody, parse

NONE: frozenset[str] = frozenset()


def document(text: str, alphabets: frozenset[str] = NONE, before: str = "") -> SpokenDocument:
    return spoken_document(parse(text), lambda sounds: sounds.alphabet in alphabets, before)


def shown(found: SpokenDocument) -> list[str | float]:
    """Runs as their text, silences as their seconds, marks as @name."""
    return [
        part.text
        if isinstance(part, Run)
        else part.seconds
        if isinstance(part, Silence)
        else f"@{part.name}"
        for part in found.parts
    ]


@pytest.mark.parametrize(
    ("text", "parts", "plain"),
    [
        ("<speak> One\n\n  two. </speak>", ["One two."], "One two."),
        ("<speak>One<break time='1s'/>two</speak>", ["One", 1.0, "two"], "One two"),
        ("<speak>a<break time='1s'/><break time='2s'/></speak>", ["a", 1.0, 2.0], "a"),
        ("<speak>a<break strength='none'/>b</speak>", ["a b"], "a b"),
        ("<speak>a.<break strength='none'/>b</speak>", ["a.", "b"], "a. b"),
        ("<speak><break/></speak>", [0.4], ""),
        ("<speak/>", [], ""),
        ("<speak>...</speak>", [], "..."),
        ("<speak>a <sub alias='b'>c</sub> d</speak>", ["a b d"], "a c d"),
        ("<speak>a<sub alias=''> c </sub>d</speak>", ["a  d"], "a c d"),
        ("<speak>a<sub alias='b'/></speak>", ["ab"], "a"),
        ("<speak><emphasis>a</emphasis>.</speak>", ["a"], "a."),
        ("<speak>a. <emphasis level='none'>b</emphasis></speak>", ["a. b"], "a. b"),
        ("<speak>a. <emphasis>b</emphasis></speak>", ["a. ", SENTENCE_PAUSE / 0.92, "b"], "a. b"),
        ("<speak>a, <prosody rate='2'>b</prosody></speak>", ["a, ", CLAUSE_PAUSE / 2, "b"], "a, b"),
        ("<speak>a <prosody volume='50'>b</prosody></speak>", ["a ", "b"], "a b"),
        ("<speak>a <prosody rate='1'>b</prosody></speak>", ["a b"], "a b"),
        ("<speak><p>a</p><p>b</p></speak>", ["a", 0.5, "b"], "a b"),
        ("<speak><p><s>a</s></p> <s>b</s></speak>", ["a", 0.5, "b"], "a b"),
        ("<speak><p>a</p><break time='2s'/><p>b</p></speak>", ["a", 2.0, "b"], "a b"),
        ("<speak><mark name='x'/>a</speak>", ["@x", "a"], "a"),
        ("<speak>...<mark name='x'/></speak>", ["@x"], "..."),
        ("<speak>x</speak>y<speak>z</speak>", ["x y z"], "x y z"),
    ],
)
def test_parts(text: str, parts: list[str | float], plain: str) -> None:
    found = document(text)
    assert shown(found) == pytest.approx(parts)
    assert found.plain == plain
    assert found.notices == ()


def test_sentences_end_at_s_and_at_the_document() -> None:
    [run] = document("<speak><s>a</s><s>b</s></speak><speak>c</speak>").parts
    assert isinstance(run, Run)
    assert run.text == "a b c"
    assert run.flushes == [1, 3, 5]


def test_marks_keep_their_place() -> None:
    [run, place] = document("<speak>a <mark name='x'/>b<mark name='y'/></speak>").parts[:1] + (
        document("<speak><mark name='z'/></speak>").parts
    )
    assert isinstance(run, Run)
    assert run.marks == [(1, "x"), (3, "y")]
    assert place == MarkPlace("z")


def test_places_go_back_to_the_plain_text() -> None:
    text = "<speak>On <say-as interpret-as='date'>2024-05-03</say-as> we</speak>"
    found = document(text, before="Before.")
    [pause, run] = found.parts
    assert isinstance(pause, Silence)
    assert isinstance(run, Run)
    plain = "Before." + found.plain
    assert run.text == "On May third, twenty twenty-four we"

    def of(words: str) -> str:
        begin = run.text.rindex(words)
        begin, end = run.plain(begin, begin + len(words))
        return plain[begin:end]

    assert [of(words) for words in ("On", "third", "May", "we", "twenty-four we")] == [
        *("On", "2024-05-03", "2024-05-03", "we"),
        "2024-05-03 we",
    ]


def test_a_sentence_over_several_runs_is_one() -> None:
    runs = [
        part
        for part in document(
            "<speak>One <emphasis>two</emphasis> three. Four <emphasis>five</emphasis></speak>"
        ).parts
        if isinstance(part, Run)
    ]
    assert [run.continues for run in runs] == [False, True, True, True]
    assert [run.open_end for run in runs] == [14, 14, 24, 0]


def test_a_sentence_goes_on_past_what_has_no_sound() -> None:
    found = document("<speak>one <prosody pitch='2'>?! <s>... two. </s>three.</prosody></speak>")
    first, second = (part for part in found.parts if isinstance(part, Run))
    assert second.flushes
    assert found.plain[: first.open_end] == "one ?! ... two."


def test_a_pause_between_runs_is_of_the_pace_that_is_heard() -> None:
    slow = "<prosody rate='0.1'>" * 30 + "b" + "</prosody>" * 30
    found = document(f"<speak>a. {slow}</speak>")
    assert shown(found) == pytest.approx(["a. ", 2 * SENTENCE_PAUSE, "b"])


def test_what_say_as_writes_out_is_limited() -> None:
    named = f"<speak><say-as interpret-as='characters'>{'!' * 20_000}</say-as></speak>"
    with pytest.raises(InvalidParameter, match="with what say-as makes of it, comes to"):
        document(named)


def test_prosody_is_nested() -> None:
    found = document(
        "<speak rate='1.5' volume='25'>a<prosody rate='50%' pitch='+100%'>b"
        "<prosody volume='-20dB'>c</prosody></prosody>d</speak>"
    )
    runs = [part.prosody for part in found.parts if isinstance(part, Run)]
    outer = Prosody(1.5, 1.0, 0.5)
    assert runs == [
        *(outer, Prosody(0.75, 2.0, 0.5), Prosody(0.75, 2.0, pytest.approx(0.05))),
        outer,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<speak voice='a'>b</speak>", "<speak>: voice is not supported"),
        ("<speak><prosody range='high'>b</prosody></speak>", "<prosody>: range is not supported"),
        ("<speak><phoneme ph='x'>b</phoneme></speak>", "'x' in ipa"),
        ("<speak><phoneme alphabet='py' ph='x'>b</phoneme></speak>", "'x' in py"),
        ("<speak><lang xml:lang='fr-FR'>b</lang></speak>", "xml:lang 'fr-FR'"),
        ("<speak><say-as interpret-as='date'>b</say-as></speak>", "'b' could not be read as date"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_text_spoken(text: str, told: str) -> None:
    found = document(text)
    assert shown(found) == ["b"]
    assert found.plain == "b"
    [notice] = found.notices
    assert told in notice


def test_notices_are_told_once_and_bounded() -> None:
    many = "".join(f"<lang xml:lang='q{n}'>a</lang>" for n in range(50))
    assert len(document(f"<speak>{many}</speak>").notices) == 20
    twice = "<phoneme ph='x'>a</phoneme>" * 2
    assert len(document(f"<speak>{twice}</speak>").notices) == 1


def test_phonemes_are_within_their_run() -> None:
    found = document(
        "<speak>我们去<phoneme alphabet='py' ph='gōng yuán'>公园</phoneme>吧"
        "<phoneme alphabet='py' ph='a1'/></speak>",
        frozenset({"py"}),
    )
    [run] = found.parts
    assert isinstance(run, Run)
    assert [(piece.spoken, piece.sounds) for piece in run.pieces] == [
        *(("我们去", None), ("公园", Sounds("py", "gōng yuán")), ("吧", None)),
        ("a1", Sounds("py", "a1")),
    ]
    assert found.plain == "我们去公园吧"
    assert run.plain(3, 4) == (3, 5)  # its sounds are one word
    assert run.plain(6, 8) == (6, 6)


def test_the_language_of_say_as() -> None:
    def said(text: str) -> str:
        [run] = document(f"<speak>{text}</speak>").parts
        assert isinstance(run, Run)
        return run.text

    digits = "<say-as interpret-as='digits'>12</say-as>"
    assert said(digits) == "one two"
    assert said("号码" + digits) == "号码一二"
    assert said(f"号码<lang xml:lang='en-US'>{digits}</lang>") == "号码one two"
    assert said(f"<s xml:lang='zh-CN'>{digits}</s>") == "一二"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "<say-as interpret-as='dance'>a</say-as>",
            r"line 1, column 8: <say-as>: .*'dance'; .*date",
        ),
        (
            "<phoneme alphabet='cmu' ph='a'>a</phoneme>",
            "alphabet is 'cmu'; allowed: ipa, py, cmu-arpabet",
        ),
        ("<emphasis level='huge'>a</emphasis>", "level is 'huge'; allowed: strong"),
        ("<prosody rate='huge'>a</prosody>", "rate is 'huge'; allowed: a factor"),
        ("<break time='huge'/>", "time is 'huge'; allowed"),
    ],
)
def test_values_that_make_no_sense(text: str, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        document(f"<speak>{text}</speak>")


LEAF = st.sampled_from(
    (
        *("Hello", " ", "two.", "你好，", "...", "\n\n", "<break time='1s'/>", "<mark name='m'/>"),
        *("<break strength='none'/>", "<sub alias='b c'>a</sub>", "<sub alias=''> a</sub>"),
        "<phoneme alphabet='py' ph='a1'>啊</phoneme>",
        "<say-as interpret-as='digits'>12</say-as>",
    )
)
INNER = st.recursive(
    LEAF,
    lambda children: st.tuples(
        st.sampled_from(["p", "s", "emphasis", "prosody rate='2'", "prosody volume='50'"]),
        st.lists(children, max_size=4).map("".join),
    ).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0].split()[0]}>"),
    max_leaves=12,
)


@given(st.lists(INNER, max_size=5).map("".join), st.sampled_from(["", "Before. "]))
def test_runs_cover_the_plain_text_in_order(inner: str, before: str) -> None:
    found = document(f"<speak>{inner}</speak>", frozenset({"py"}), before)
    end = len(before)
    marks = 0
    for part in found.parts:
        marks += isinstance(part, MarkPlace)
        if not isinstance(part, Run):
            continue
        marks += len(part.marks)
        assert part.length == len(part.text) > 0
        assert all(0 <= place <= part.length for place, _ in part.marks)
        assert part.flushes == sorted(part.flushes)
        for piece in part.pieces:
            assert end <= piece.begin <= piece.end
            end = piece.end
            if piece.literal:
                plain = (before + found.plain)[piece.begin : piece.end]
                assert plain == piece.spoken
    assert end <= len(before + found.plain)
    assert marks == inner.count("<mark")
