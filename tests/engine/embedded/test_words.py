"""What a word is, and that each is told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.utterances import (
    EspeakUtterance,
    LocatedWord,
    Pause,
    located_words,
    word_stretches,
)
from cosyserve.engine.interface import WordTime
from cosyserve.engine.origins import Origins
from support.engines.embedded import check_words, speak

TEXTS: dict[str, str] = {
    "My mother-in-law came": "My|mother-in-law|came",
    "mother‑in‑law came": "mother‑in‑law|came",
    "“Well,” she said": "Well|she|said",
    '"Hello," she said': "Hello|she|said",
    "He said: 'no way'!": "He|said|no|way",
    "the ‘quoted’ word": "the|quoted|word",
    "«Bonjour» dit-il": "Bonjour|dit-il",
    "die U-Bahn „fährt“": "die|U-Bahn|fährt",
    "(well) done": "well|done",
    "(a) b [c] {d}": "a|b|c|d",
    "yes—no": "yes|no",
    "He said yes—no, maybe": "He|said|yes|no|maybe",
    "Well—no one said": "Well|no|one|said",
    "well — fine – good": "well|fine|good",
    "one -- two --three": "one|two|three",
    "50 - 60 people": "50|60|people",
    "A–Z": "A|Z",
    "I can’t do it": "I|can’t|do|it",
    "I can't do it": "I|can't|do|it",
    "it's fine": "it's|fine",
    "the '90s music": "the|90s|music",
    "the ’90s music": "the|90s|music",
    "rock 'n' roll": "rock|n|roll",
    "the dogs' tails": "the|dogs|tails",
    "'tis the season": "tis|the|season",
    "état-major": "état-major",
    "L’état-major n’est pas là": "L’état-major|n’est|pas|là",
    "O’Brien and O'Brien went": "O’Brien|and|O'Brien|went",
    "send e-mail by Wi-Fi": "send|e-mail|by|Wi-Fi",
    "an X-ray of a 12-year-old boy": "an|X-ray|of|a|12-year-old|boy",
    "this and/or that": "this|and/or|that",
    "fruit, e.g. apples": "fruit|e.g.|apples",
    "in the U.S.A. today": "in|the|U.S.A.|today",
    "at 10:30 a.m. we left.": "at|10:30|a.m.|we|left",
    "3.14 is pi": "3.14|is|pi",
    "it is 1,000,000 or 3,5 or one,two": "it|is|1,000,000|or|3,5|or|one|two",
    "100% sure": "100%|sure",
    "write user@host.com now": "write|user@host.com|now",
    "see http://x.com/a_b.": "see|http://x.com/a_b",
    "hello...world": "hello|world",
    "um… yes, …so": "um|yes|so",
    "what?!no": "what|no",
    "a & b": "a|&|b",
    "5 + 3 = 8": "5|+|3|=|8",
    "C++ and C#": "C++|and|C#",
    "#hashtag @you": "#hashtag|@you",
    "snake_case name": "snake_case|name",
    "**bold** text, `code` and _more_": "bold|text|code|and|more",
    "no one at all of the time": "no|one|at|all|of|the|time",
    "in the house as well as in the garden": "in|the|house|as|well|as|in|the|garden",
    "1st, 2nd; 3rd: yes!": "1st|2nd|3rd|yes",
    "¿Qué? ¡No!": "Qué|No",
    "Кто-нибудь сказал — «да».": "Кто-нибудь|сказал|да",
    "नमस्ते दुनिया": "नमस्ते|दुनिया",
    "안녕하세요 세계": "안녕하세요|세계",
    "مرحبا بالعالم": "مرحبا|بالعالم",
    "はとても いいです": "はとても|いいです",
    "你好，世界！“好”的（吧）。": "你|好|世|界|好|的|吧",
    "银行——不行…行": "银|行|不|行|行",
    "我们在2024年有3个": "我|们|在|2024|年|有|3|个",
    "3.14和100%": "3.14|和|100%",
    "X光和3个5元": "X|光|和|3|个|5|元",
    "我用 iPhone 看 B站的“e-mail”。": "我|用|iPhone|看|B|站|的|e-mail",
    "好的，OK吗？It's 好!": "好|的|OK|吗|It's|好",
}

SAID = {
    "50 - 60 people": "50|-|60|people",
    "it is 1,000,000 or 3,5 or one,two": "it|is|1,000,000|or|3|5|or|one|two",
}
"""Those whose words are others once they are written out: "fifty to sixty", "three,five"."""


@pytest.mark.parametrize("text", TEXTS)
def test_words_of_a_text(text: str) -> None:
    assert "|".join(text[begin:end] for begin, end in word_stretches(text)) == TEXTS[text]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", TEXTS)
async def test_each_word_is_told_once(engine: EmbeddedEngine, text: str) -> None:
    spoken = await speak(engine, text)
    check_words(spoken.words, len(text), spoken.seconds)
    assert shown(text, spoken.words) == SAID.get(text, TEXTS[text])
    assert all(word.begin < word.end for word in spoken.words)


@pytest.mark.asyncio(loop_scope="module")
async def test_emoji_are_neither_spoken_nor_told(engine: EmbeddedEngine) -> None:
    text = "hi 😀 and ♪ you"
    assert shown(text, (await speak(engine, text)).words) == "hi|and|you"


@pytest.mark.asyncio(loop_scope="module")
async def test_words_are_told_alike_however_the_text_comes(engine: EmbeddedEngine) -> None:
    text = "“Well—no one can’t,” she said; 我们在银行。 It is 3.14, e.g. here."
    whole = (await speak(engine, text)).words
    for size in (1, 3, 11):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert (await speak(engine, pieces)).words == whole


MARKS = " ,.;:!?…—–-'’\"“”«»()[]，。、！（）《》/&%$#*_"
PARTS = st.one_of(
    st.sampled_from(
        ["word", "I", "état", "can’t", "x", "слово", "行", "银行", "7", "2024", "नमस्ते"]
    ),
    st.text(st.sampled_from(MARKS), min_size=1, max_size=3),
)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_words_hold_every_letter_and_digit_once(text: str) -> None:
    covered = [False] * len(text)
    end = 0
    for first, last in word_stretches(text):
        assert end <= first < last
        end = last
        covered[first:last] = [True] * (last - first)
        assert any(char.isalnum() or char in "&%$#" for char in text[first:last])
        assert text[first] not in " ,.;:!?…—–-'’\"“”«»()[]，。、！（）《》/*_"
        assert text[last - 1] not in " ,;:!?…—–-'’\"“”«»()[]，。、！（）《》/*_"
    assert all(here for here, char in zip(covered, text, strict=True) if char.isalnum())


def utterance(text: str, origins: Origins, begin: int = 10) -> EspeakUtterance:
    return EspeakUtterance(
        text, begin, "en-us", Pause.NONE, origins, lambda first, last: (first, last)
    )


def test_words_made_of_one_stretch_are_told_once_with_all_of_it() -> None:
    source = "It is $5.40 (net)."
    text = "It is five dollars forty (net)."
    origins = Origins()
    origins.copy(6)
    origins.replace(len("$5.40"), len("five dollars forty"))
    origins.copy(len(" (net)."))
    words = located_words(utterance(text, origins))
    assert [text[word.begin : word.end] for word in words] == [
        *("It", "is", "five dollars forty", "net"),
    ]
    assert [source[word.text_begin - 10 : word.text_end - 10] for word in words] == [
        *("It", "is", "$5.40", "net"),
    ]


def test_words_that_share_a_part_of_the_text_are_one() -> None:
    origins = Origins()
    origins.replace(2, 12)  # $5 -> five dollars
    origins.copy(6)
    assert located_words(utterance("five dollars-a-day", origins, 0)) == [LocatedWord(0, 18, 0, 8)]


def test_what_stands_for_nothing_is_not_told() -> None:
    origins = Origins()
    origins.copy(3)
    origins.replace(0, 4)
    assert located_words(utterance("one two", origins, 0)) == [LocatedWord(0, 3, 0, 3)]


def shown(text: str, words: list[WordTime]) -> str:
    return "|".join(text[word.text_begin : word.text_end] for word in words)
