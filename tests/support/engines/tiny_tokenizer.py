"""A small tokenizer in the checkpoint's layout: vocab.json and merges.txt of a byte-level BPE."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tokenizers import models, pre_tokenizers

from cosyserve.engine.cosyvoice.text import TextTokenizer

MERGES: Final = (
    *("h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld", "Ġ t", "Ġt he"),
    *("i n", "in g", "Ġ a", "e r", "o u", "Ġ hello", "n o", "Ġa n", "Ġan d", "t w", "tw o"),
)
"""English ones; those for Chinese follow."""
_WORDS: Final = (
    "你好",
    "今天",
    "天气",
    "今天天气",
    "我们",
    "公园",
    "天天",
    "好天",
    "一百",
    "百二十",
)


def write_tokenizer(folder: Path) -> None:
    """Write vocab.json and merges.txt. All bytes are tokens, and some words of Chinese and English.

    The Chinese words overlap, so that what comes later in a text changes the tokens before it.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {byte: number for number, byte in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    for pair in MERGES:
        left, right = pair.split()
        merges.append((left, right))
        vocabulary.setdefault(left + right, len(vocabulary))
    for word in _WORDS:
        _add_word(_spelled(word), vocabulary, merges)
    folder.mkdir(parents=True, exist_ok=True)
    models.BPE(vocabulary, merges).save(str(folder))


def _spelled(text: str) -> str:
    """`text` as byte-level BPE spells its UTF-8."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(spelling for spelling, _ in level.pre_tokenize_str(text))


def _add_word(spelling: str, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Merge the word's tokens of now, from the left, until it is one token."""
    model = models.BPE(dict(vocabulary), list(merges))
    tokens = [token.value for token in model.tokenize(spelling)]
    while len(tokens) > 1:
        left, right = tokens[:2]
        merges.append((left, right))
        vocabulary.setdefault(left + right, len(vocabulary))
        tokens[:2] = [left + right]


def tiny_tokenizer() -> TextTokenizer:
    """What `write_tokenizer` writes, loaded."""
    with tempfile.TemporaryDirectory() as name:
        write_tokenizer(Path(name))
        return TextTokenizer.load(Path(name))
