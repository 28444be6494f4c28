"""The texts to be spoken: sentences of public-domain books, and phrases cut from them."""

from __future__ import annotations

import lzma
import random
from pathlib import Path
from typing import Final

SENTENCES: Final = Path(__file__).parent.parent / "texts" / "sentences.txt.xz"
_LONGEST: Final = 110
"""Characters of a sentence that is spoken as a whole."""
_PHRASES: Final = 0.4
"""The share of short phrases: words are learned from them sooner than from sentences."""
_PHRASE_WORDS: Final = (2, 8)


def sentences(path: Path = SENTENCES) -> list[str]:
    """All sentences of a file, one a line. Raises OSError, lzma.LZMAError."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def lines(count: int, source: list[str], seed: int = 0) -> list[str]:
    """`count` texts that differ: whole sentences and phrases. Fewer if the source does not suffice."""
    chosen: dict[str, None] = {}
    choice = random.Random(seed)
    for sentence in source:
        words = sentence.split()
        if len(sentence) > _LONGEST or choice.random() < _PHRASES:
            size = choice.randint(*_PHRASE_WORDS)
            begin = choice.randint(0, max(0, len(words) - size))
            sentence = _phrase(words[begin : begin + size])
        if len(sentence) > 5:
            chosen[sentence] = None
        if len(chosen) == count:
            break
    return list(chosen)


def _phrase(words: list[str]) -> str:
    text = " ".join(words).strip(" ,;:-'")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
