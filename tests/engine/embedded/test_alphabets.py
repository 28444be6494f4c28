"""Phonetic alphabets, as each synthesiser reads them."""

from __future__ import annotations

import pytest

from cosyserve.engine.embedded.alphabets import ALPHABETS, Unspeakable


def spelled(alphabet: str, text: str, *, possessive: bool = False) -> tuple[str, str]:
    return tuple(ALPHABETS[alphabet].spell(text, possessive=possessive))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("təˈmɑːtoʊ", "t@'mA:toU"),
        ("/ˈt͡ʃɜːɹt͡ʃ/", "'tS3:tS"),
        ("ˈbɛ.ɹi", "'bEri"),
        ("ˈnɪɹ", "'ni@3"),
        ("stˈɑːɹt", "st'A@t"),
        ("həˈloʊ ˈwɜːld", "h@'loU||'w3:ld"),
        ("ˈbʌʔn̩", "'bV?n-"),
        ("ˈeɡ", "'Eg"),
    ],
)
def test_ipa_to_names(text: str, names: str) -> None:
    assert spelled("ipa", text)[0] == f"[[{names}]]"


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("təˈmɑːtoʊ", "təmˈɑtO"),  # the stress is right before the vowel
        ("ˈstɹiːt", "stɹˈit"),
        ("həˈloʊ ˌwɜːld", "həlˈO wˈɜɹld"),
        ("ðə", "ðə"),  # nothing to stress
        ("wɪn", "wˈɪn"),
        ("ˌwɪn", "wˈɪn"),
        ("mmm", "mmm"),
    ],
)
def test_ipa_to_symbols(text: str, symbols: str) -> None:
    assert spelled("ipa", text)[1] == symbols


@pytest.mark.parametrize(
    ("sounds", "ending"),
    [("wɪn", "z"), ("kæt", "s"), ("tʃɜːtʃ", "ɪz"), ("fɒks", "ɪz"), ("ˈɹoʊ", "z"), ("miθ", "s")],
)
def test_a_possessive_ends_as_english_does(sounds: str, ending: str) -> None:
    alone, owner = spelled("ipa", sounds)[1], spelled("ipa", sounds, possessive=True)[1]
    assert owner == alone + ending


@pytest.mark.parametrize(
    ("text", "ipa"),
    [
        ("HH AH0 L OW1", "həˈloʊ"),
        ("P ER0 M IH1 T", "pɚˈmɪt"),
        ("CH ER1 CH", "ˈtʃɝtʃ"),
        ("K AH1 P", "ˈkʌp"),
        ("V IH1 Z AH0 N EH2 R IY0", "ˈvɪzəˌnɛɹiː"),
    ],
)
def test_arpabet_is_ipa(text: str, ipa: str) -> None:
    assert spelled("cmu-arpabet", text)[1] == spelled("ipa", ipa)[1]


@pytest.mark.parametrize(
    ("alphabet", "text", "wrong"),
    [
        ("ipa", "ʁa", "'ʁ'"),
        ("ipa", "y", "'y'"),
        ("ipa", "]]", "no sounds"),
        ("ipa", "", "no sounds"),
        ("ipa", "ˈ", "no sounds"),
        ("ipa", "a]]<b", "'<'"),
        ("ipa", "a1", "'1'"),
        ("ipa", "你", "'你'"),
        ("cmu-arpabet", "HH AX", "'AX'"),
        ("cmu-arpabet", "HH1 AH", "'HH1'"),
        ("cmu-arpabet", "AH3", "'AH3'"),
        ("cmu-arpabet", "AH12", "'AH12'"),
        ("cmu-arpabet", "hh ah", "'hh'"),
        ("cmu-arpabet", " ", "no phonemes"),
        ("py", "ni3 hao6", "'6'"),
        ("py", "hello", "'hello5'"),
        ("py", "x]]", "'x5'"),
        ("py", "[[", "'['"),
        ("py", "<a>", "'<'"),
        ("py", "\0", "no syllable"),
        ("py", "1", "'1'"),
        ("py", "你", "'你'"),
        ("py", "q3", "'q3'"),
        ("py", "", "no syllables"),
    ],
)
def test_what_an_alphabet_lacks_is_named_with_what_it_has(
    alphabet: str, text: str, wrong: str
) -> None:
    with pytest.raises(Unspeakable, match="; allowed: ") as refused:
        spelled(alphabet, text)
    assert wrong in str(refused.value)


def test_syllables_that_espeak_would_spell_are_written_otherwise() -> None:
    assert spelled("py", "xióng māo qiong2 lv4") == ("xong2 mao1 qong2 lv4", "")


@pytest.mark.parametrize("text", ["nü3 er2", "zhuang1 shi4", "wanr2", "m2 ng4 hng5", "yuan2 qu4"])
def test_syllables_are_those_of_pinyin(text: str) -> None:
    spelled("py", text)


@pytest.mark.parametrize(
    ("alphabet", "word", "letters"),
    [("ipa", "Nguyen", "Qqqqqq"), ("ipa", "e.g.", "qqqq"), ("py", "银行", "口口")],
)
def test_what_stands_for_a_word_is_written_alike(alphabet: str, word: str, letters: str) -> None:
    assert ALPHABETS[alphabet].standing_for(word) == letters
