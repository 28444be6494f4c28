"""Training sequences in the two orders in which the product reads text and speech (`Unistream`, `Bistream`).

Unistream: sos, text, task, speech, end of speech. Bistream: sos, groups of 5 text ids and 15 codes, after
each group the fill token as what is asked for, then what is left of the text, task, what is left of the
speech.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.ids import IdSpace

Span = tuple[float, float]
"""Characters of a text, from the first to behind the last."""
NOWHERE: Final[Span] = (math.nan, math.nan)
IGNORED: Final = -100
"""The target where nothing is asked for."""


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text and the codes that say it.

    spans: the characters of each text id, or NOWHERE.
    characters: the place in the text that each code says, or NaN.
    phonemes: each code's label, 0 where it is not known.
    length: characters of the text.
    """

    text_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    codes: tuple[int, ...]
    characters: tuple[float, ...]
    phonemes: tuple[int, ...]
    length: int

    def followed(self, pause: Sequence[int], other: AlignedText) -> AlignedText:
        """This one, a pause, and another one of the same voice."""
        shift = self.length + 1
        spans = tuple((begin + shift, end + shift) for begin, end in other.spans)
        return AlignedText(
            self.text_ids + other.text_ids,
            self.spans + spans,
            (*self.codes, *pause, *other.codes),
            (*self.characters, *[math.nan] * len(pause), *(at + shift for at in other.characters)),
            (*self.phonemes, *[0] * len(pause), *other.phonemes),
            shift + other.length,
        )

    def with_text_of(self, other: AlignedText) -> AlignedText:
        """The same speech after another text of the same number of ids."""
        count = len(self.text_ids)
        ids = (other.text_ids * (count // max(1, len(other.text_ids)) + 1))[:count]
        return AlignedText(ids, self.spans, self.codes, self.characters, self.phonemes, self.length)


@dataclass(slots=True)
class Row:
    """One sequence, position by position: the id that is read, and what is asked for after it.

    phonemes, characters: of the code that is asked for, as AlignedText has them. spans: of a text id that is
    read; NaN at other positions.
    """

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    phonemes: list[int] = field(default_factory=list)
    characters: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def read(self, number: int, span: Span = NOWHERE) -> None:
        self.ids.append(number)
        self.targets.append(IGNORED)
        self.phonemes.append(0)
        self.characters.append(math.nan)
        self.spans.append(span)

    def ask(self, target: int, phoneme: int = 0, character: float = math.nan) -> None:
        """After the position that was read last."""
        self.targets[-1], self.phonemes[-1], self.characters[-1] = target, phoneme, character


class _Composer:
    def __init__(self, spoken: AlignedText, space: IdSpace) -> None:
        self.row = Row()
        self._spoken = spoken
        self._space = space
        self._text = 0
        self._speech = 0

    def text(self, count: int) -> None:
        for place in range(self._text, min(self._text + count, len(self._spoken.text_ids))):
            self.row.read(
                self._space.text_begin + self._spoken.text_ids[place], self._spoken.spans[place]
            )
        self._text += count

    def speech(self, count: int, then: int) -> None:
        """Ask for the next codes, each after the one before it is read; after the last, for `then`."""
        spoken = self._spoken
        for place in range(self._speech, min(self._speech + count, len(spoken.codes))):
            code = spoken.codes[place]
            self.row.ask(code, spoken.phonemes[place], spoken.characters[place])
            self.row.read(code)
        self.row.ask(then)
        self._speech += count


def unistream(spoken: AlignedText, space: IdSpace) -> Row:
    made = _Composer(spoken, space)
    made.row.read(space.sos)
    made.text(len(spoken.text_ids))
    made.row.read(space.task)
    made.speech(len(spoken.codes), space.eos)
    return made.row


def bistream(spoken: AlignedText, space: IdSpace, config: LmConfig) -> Row | None:
    """None where speech ends before its text: with fewer than 15 codes for a group of 5 ids."""
    groups = len(spoken.text_ids) // config.mix_text
    if groups * config.mix_speech > len(spoken.codes):
        return None
    made = _Composer(spoken, space)
    made.row.read(space.sos)
    for _ in range(groups):
        made.text(config.mix_text)
        made.speech(config.mix_speech, space.fill)
    made.text(config.mix_text)
    made.row.read(space.task)
    made.speech(len(spoken.codes), space.eos)
    return made.row


@dataclass(frozen=True, slots=True)
class LmBatch:
    """Rows [B, n], filled up at the end with ids that nothing is asked for after. spans: [B, n, 2]."""

    ids: Tensor
    targets: Tensor
    phonemes: Tensor
    characters: Tensor
    spans: Tensor


def batch_of(rows: Sequence[Row]) -> LmBatch:
    longest = max(len(row.ids) for row in rows)

    def whole(parts: Sequence[Sequence[object]], fill: object) -> Tensor:
        return torch.tensor([[*part, *[fill] * (longest - len(part))] for part in parts])

    return LmBatch(
        whole([row.ids for row in rows], 0),
        whole([row.targets for row in rows], IGNORED),
        whole([row.phonemes for row in rows], 0),
        whole([row.characters for row in rows], math.nan),
        whole([row.spans for row in rows], NOWHERE),
    )
