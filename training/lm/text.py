"""The text tokenizer of the checkpoint: byte pairs learned from the corpus, in Qwen2's form."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from cosyserve.engine.cosyvoice.text import TextTokenizer
from cosyserve.engine.cosyvoice.text.tokenizer import TextTokenStream

FOLDER: Final = "CosyVoice-BlankEN"
_WORDS: Final = r" ?[^\s\p{L}\p{N}]+|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|\s+"
"""Words with the blank before them, numerals and marks: what merges may join. The product's own split, which
has more cases, never joins more than this."""


def learn(texts: Iterable[str], size: int, folder: Path) -> TextTokenizer:
    """Learn `size` tokens, write vocab.json and merges.txt, and load them as the product does."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    folder.mkdir(exist_ok=True)
    bpe.model.save(str(folder))
    return TextTokenizer.load(folder)


def placed(tokenizer: TextTokenizer, text: str) -> tuple[list[int], list[tuple[float, float]]]:
    """A text's tokens, and the characters [begin, end) that each stands for."""
    stream = TextTokenStream(tokenizer)
    stream.push(text, 0, len(text))
    tokens = [*stream.take(), *stream.flush()]
    return [token.id for token in tokens], [(token.begin, token.end) for token in tokens]
