from hypothesis import given
from hypothesis import strategies as st

from cosyserve.benchmarks.texts import SENTENCES, tokens


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_the_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert all(tokens(text))


def test_words_and_han_characters() -> None:
    assert tokens("Hello there, you.") == ["Hello ", "there, ", "you."]
    assert tokens("说 two 字。") == ["说 ", "two ", "字", "。"]
    assert tokens("") == []
    assert tokens("  ") == ["  "]


def test_every_sentence_ends() -> None:
    assert all(sentence.endswith((".", "?")) for sentence in SENTENCES)
