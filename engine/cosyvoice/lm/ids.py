"""One id space for everything the speech LM reads.

0 .. size-1 are speech tokens, size .. size+2 the stop ids (the first is the end of speech, the last
the fill token), then the two special embeddings, then the text ids. So what the head gives is, as it
is, the next input, and a context is a plain list of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import LmConfig


@dataclass(frozen=True, slots=True)
class IdSpace:
    speech_size: int
    text_size: int

    @classmethod
    def of(cls, config: LmConfig) -> IdSpace:
        return cls(config.speech_token_size, config.vocab_size)

    @property
    def eos(self) -> int:
        return self.speech_size

    @property
    def unused(self) -> int:
        """A row of the head that means nothing; it is never drawn."""
        return self.speech_size + 1

    @property
    def fill(self) -> int:
        """The model asks for more text."""
        return self.speech_size + 2

    @property
    def head_size(self) -> int:
        return self.speech_size + 3

    @property
    def sos(self) -> int:
        return self.head_size

    @property
    def task(self) -> int:
        """Says that all of the text has been given."""
        return self.head_size + 1

    @property
    def text_begin(self) -> int:
        return self.head_size + 2

    @property
    def size(self) -> int:
        return self.text_begin + self.text_size

    def text(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokenizer's ids in this space. Raises ValueError for one that is out of range."""
        for number in ids:
            if not 0 <= number < self.text_size:
                raise ValueError(f"text id {number} is not in 0..{self.text_size - 1}")
        return tuple(self.text_begin + number for number in ids)

    def speech(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Speech tokens, checked. Raises ValueError for one that is out of range."""
        for number in ids:
            if not 0 <= number < self.speech_size:
                raise ValueError(f"speech token {number} is not in 0..{self.speech_size - 1}")
        return tuple(ids)
