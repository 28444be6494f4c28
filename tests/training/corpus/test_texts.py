from __future__ import annotations

from cosyserve.training.corpus.texts import lines, sentences


def test_the_sentences_are_plain_english() -> None:
    found = sentences()
    assert len(found) == len(set(found)) == 16000
    assert all(12 <= len(line) <= 160 and line.isascii() for line in found)
    assert not any(character.isdigit() for line in found for character in line)


def test_texts_differ_and_are_short() -> None:
    made = lines(2000, sentences())
    assert len(set(made)) == 2000
    assert max(map(len, made)) <= 110
    assert made == lines(2000, sentences())
    assert made[:100] == lines(100, sentences())


def test_a_short_source_gives_fewer() -> None:
    assert len(lines(10, ["One sentence that is long enough."])) == 1
