"""The stages together: any cuts, flushes, places, cost, and the cues of voices."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cosyserve.engine.plain import CUES, PlainText
from cosyserve.engine.plain.links import LOOK_AHEAD
from support.writing.plain import plain


@pytest.mark.parametrize("cue", CUES)
def test_cues_stay_where_the_voice_has_them(cue: str) -> None:
    assert plain(f"**a** {cue} b", cues=True) == f"a {cue} b"
    assert cue not in plain(f"a {cue} b")
    assert cue not in plain(f"a {cue} b", markup=False)


def test_a_cue_parts_words() -> None:
    assert plain("Hi[breath]there <laughter>ha</laughter>!") == "Hi there ha!"


def test_without_markup_only_characters_change() -> None:
    text = "# **a** [b](c) <i>d</i> &amp; `e`\n- f"
    assert plain(text, markup=False) == text
    assert plain("**ＵＳＢ** 😀", markup=False) == "**USB** "


def test_a_flush_gives_out_what_is_held_and_begins_a_line() -> None:
    stages = PlainText()
    assert stages.feed("see [the") == "see "
    assert stages.pending == 4
    assert stages.flush() == "[the"
    assert stages.feed("- item **") == "item "
    assert stages.flush() == ""
    assert stages.feed("x") + stages.flush() == "x"


@pytest.mark.parametrize("opener", ["[", "![", "**", "`", "<b", "<", "$x", "&a", "~~", "_", "<3"])
def test_an_opener_alone_holds_little_back(opener: str) -> None:
    stages = PlainText()
    text = f"Now {opener}" + " and so it goes on" * 20
    for at, char in enumerate(text):
        stages.feed(char)
        assert stages.pending <= LOOK_AHEAD, at
    assert stages.pending <= 2


HOSTILE = (
    *("*", "_", "~", "`", "[", "]", "<", "&", "$", "|", "\\", "#", "- ", "> ", "!["),
    *(
        "[a",
        "[]",
        "[a](",
        "[[]",
        "](h",
        "<a ",
        '<b x="',
        "<!--",
        "&a",
        "$a",
        "* a",
        "`a",
        "|a",
        "| ",
    ),
    *("\n-", "\n```", "[breath", "<strong", "<a@", "\n[a]:", "</td>", "<sup>1", "中**", "a*"),
    *("😀", "①", "1\ufe0f\u20e3", "\u200d", "Ⅳ", "７，", "ｶ", "½", "²", "\u202e"),
)


@pytest.mark.parametrize("mark", HOSTILE)
def test_the_cost_is_linear(mark: str) -> None:
    """Decisions each look at a bounded stretch, and at most so many are open at a time."""
    text = (mark * 8000)[:8000]
    for size in (1, len(text)):
        stages = PlainText()
        held = 0
        for at in range(0, len(text), size):
            stages.feed(text[at : at + size])
            held = max(held, stages.pending)
        stages.flush()
        assert stages.pending == 0
        assert held <= 1200
        assert stages.decisions <= 6 * len(text)


# The joints at which marks may be cut, and what makes marks of them.
PIECES = (
    *(
        "a",
        "b ",
        "Word",
        "5",
        "42",
        "中",
        "重点",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "!",
        "。",
        "，",
        "．",
    ),
    *(
        "*",
        "**",
        "***",
        "_",
        "__",
        "~",
        "~~",
        "~~~",
        "`",
        "```",
        "```py",
        "- ",
        "* ",
        "> ",
        "# ",
        "## ",
    ),
    *(
        "[",
        "]",
        "(",
        ")",
        "](",
        "](http://x.y)",
        "[a](u)",
        "![",
        "[^1]",
        "[^1]:",
        "[ ]",
        "[x] ",
        "1. ",
    ),
    *(
        "[r]: http://a.b/c",
        '"t"',
        "'t'",
        "https://",
        "www.",
        "mailto:",
        "/",
        "@",
        "#",
        ":",
        "=",
        "-",
    ),
    *("<", "<b>", "</b>", "<br/>", "<p>", "<!--", "-->", "<td>", "</td>", "<sup>", "2", "</sup>"),
    *(
        "<https://a.b>",
        '<a href="x">',
        "<img alt='k'>",
        "&",
        "&amp;",
        "&#39;",
        "&nb",
        "sp;",
        "*.py",
    ),
    *("$", "$x^2$", "$$", "\\", "\\*", "\\(", "|", "| a |", "|---|", "---", "===", "+", "é", "😀"),
    *(
        "\u200d",
        "\ufe0f",
        "\u20e3",
        "1\ufe0f\u20e3",
        "①",
        "②",
        "Ⅳ",
        "½",
        "７",
        "１，０００",
        "ｶ",
        "ﾞ",
    ),
    *(
        "²",
        "㎡",
        "\u00ad",
        "\u200b",
        "\ufeff",
        "𝗪",
        "ℹ",
        "[breath]",
        "[brea",
        "<strong>",
        "</strong>",
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@settings(max_examples=400)
@given(TEXTS, st.booleans(), st.booleans(), st.lists(st.integers(0, 120), max_size=5))
def test_cuts_do_not_matter(text: str, markup: bool, cues: bool, cuts: list[int]) -> None:
    whole = PlainText(markup=markup, cues=cues)
    expected = whole.feed(text) + whole.flush()
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    for edges in (places, range(len(text) + 1)):
        stages = PlainText(markup=markup, cues=cues)
        given_out = "".join(stages.feed(text[a:b]) for a, b in pairwise(edges))
        assert given_out + stages.flush() == expected
        for place in range(len(expected)):
            assert stages.source(place, place + 1) == whole.source(place, place + 1)


@settings(max_examples=200)
@example("a</td> a", [], [])
@example("a</td>` a`", [], [])
@given(TEXTS, st.lists(st.integers(0, 120), max_size=3), st.lists(st.integers(0, 120), max_size=5))
def test_flushes_matter_wherever_the_text_is_cut(
    text: str, flushes: list[int], cuts: list[int]
) -> None:
    flushes = [min(place, len(text)) for place in flushes]

    def flushed(edges: set[int]) -> str:
        stages, out = PlainText(), ""
        for begin, end in pairwise(sorted({0, len(text), *edges})):
            out += stages.feed(text[begin:end])
            if end in flushes:
                out += stages.flush()
        return out + stages.flush()

    edges = {*flushes, *(min(cut, len(text)) for cut in cuts)}
    assert flushed(edges) == flushed({*flushes, *range(len(text))})


@settings(max_examples=200)
@given(TEXTS)
def test_places_come_in_order(text: str) -> None:
    stages = PlainText()
    read = stages.feed(text) + stages.flush()
    before = (0, 0)
    for place in range(len(read)):
        begin, end = stages.source(place, place + 1)
        assert before[0] <= begin <= end <= len(text)
        assert before[1] <= end
        before = begin, end


@pytest.mark.parametrize(
    ("text", "word", "source"),
    [
        ("Some **bold** text", "bold", "bold"),
        ("A [link](https://x.y) here", "here", "here"),
        ("a &amp; b", "&", "&amp;"),
        ("密码７３５１吗", "7351", "７３５１"),
        ("２½杯", "1/2", "½"),
        ("用㎝量", "cm", "㎝"),
        ("x 1️⃣ y", "1", "1️⃣"),
        ("- one\n- two", "two", "two"),
    ],
)
def test_where_words_lie(text: str, word: str, source: str) -> None:
    stages = PlainText()
    read = stages.feed(text) + stages.flush()
    begin, end = stages.source(read.index(word), read.index(word) + len(word))
    assert text[begin:end] == source


def test_an_empty_stretch_lies_after_what_comes_before() -> None:
    stages = PlainText()
    stages.feed("**ab** c")
    assert stages.source(2, 2) == (4, 4)
    assert stages.source(0, 0)[0] <= 2
    with pytest.raises(ValueError, match="not within"):
        stages.source(0, 99)
