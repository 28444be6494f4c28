"""One id space for everything the speech LM reads.

First the rows of the speech embedding: speech tokens, then the special ids that the head knows too. After
them the special ids with an embedding of their own, if the family has such, then the text ids. So what the
head gives is, as it is, the next input, and a context is a plain list of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import LmConfig, SpecialIds


@dataclass(frozen=True, slots=True)
class IdSpace:
    """specials: which of the ids after the speech tokens means what."""

    speech_size: int
    text_size: int
    specials: SpecialIds

    @classmethod
    def of(cls, config: LmConfig) -> IdSpace:
        return cls(config.speech_token_size, config.vocab_size, config.specials)

    @property
    def eos(self) -> int:
        """The end of speech."""
        return self.speech_size + self.specials.eos

    @property
    def unused(self) -> int:
        """A row of the head that means nothing; it is never drawn."""
        return self.speech_size + self.specials.unused

    @property
    def fill(self) -> int:
        """The model asks for more text."""
        return self.speech_size + self.specials.fill

    @property
    def head_size(self) -> int:
        return self.speech_size + self.specials.rows

    @property
    def sos(self) -> int:
        return self.speech_size + self.specials.sos

    @property
    def task(self) -> int:
        """Says that all of the text has been given."""
        return self.speech_size + self.specials.task

    @property
    def text_begin(self) -> int:
        return self.head_size + self.specials.apart

    @property
    def size(self) -> int:
        return self.text_begin + self.text_size

    def never(self, stop: int) -> tuple[int, ...]:
        """What must not be drawn where `stop` is the only special id that may be: all others."""
        return tuple(number for number in range(self.speech_size, self.head_size) if number != stop)

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
