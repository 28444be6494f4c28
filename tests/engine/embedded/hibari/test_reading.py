from __future__ import annotations

import pytest
from hibari.g2p import G2P

from cosyserve.engine.embedded.hibari.reading import Phonemes, Unreadable, read

ALPHABET = frozenset(" .,!?—“”()…:;ˈˌabdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧθAIOWYTᵊᵻ")


@pytest.fixture(scope="module")
def g2p() -> G2P:
    return G2P()


def test_each_word_has_its_place(g2p: G2P) -> None:
    text = "  Well, the mother-in-law said:  “I can’t (yet).”"
    found = read(text, g2p, ALPHABET)
    places = [
        text.index(part)
        for part in ("Well", ",", "the", "mother", "said", ":", "I", "can", "(", "yet", ")", ".")
    ]
    assert [each.position for each in found][: len(places)] == places
    assert found[0] == Phonemes("wˈɛl", 2)


def test_repeated_words_have_different_places(g2p: G2P) -> None:
    found = read("no no, no", g2p, ALPHABET)
    assert [each.position for each in found] == [0, 3, 5, 7]


def test_brackets_are_no_commands(g2p: G2P) -> None:
    found = read("see [word](/sˈʌn/) now", g2p, ALPHABET)
    assert "wˈɜɹd" in "".join(each.symbols for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "floccinaucinihilipilificational",  # one letter more than hibari reads
        "ქართული",  # partly in its network's alphabet, but not in the voice's
        "★ → ★",
        "XKWQ " * 40,
        "a/" * 13,  # hibari would think about 200 of them for eight seconds
        "aB" * 13,
        "s'" * 25,
        "...",
        "",
    ],
)
def test_what_would_not_be_heard_is_left_to_espeak(g2p: G2P, text: str) -> None:
    with pytest.raises(Unreadable):
        read(text, g2p, frozenset(" .,") if text.startswith("ქ") else ALPHABET)


def test_a_fault_of_its_rules_is_no_crash(g2p: G2P, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise ValueError("invalid literal for int()")

    monkeypatch.setattr(g2p, "tokenize", broken)
    with pytest.raises(Unreadable):
        read("text", g2p, ALPHABET)
