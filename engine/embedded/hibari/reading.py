"""How hibari reads an English text: phonemes, each row of them with its place in the text.

Written forms (numbers, money, dates) come as words already: engine.written knows their places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from hibari.g2p import G2P, SUBTOKEN_RE

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from ..frames import ToldSounds


class Phonemes(NamedTuple):
    """Symbols of the model's alphabet that text[position:] begins with."""

    symbols: str
    position: int


class Unreadable(Exception):
    """A part of the text has no reading; espeak-ng reads such a text."""


_SAME_LENGTH: Final = str.maketrans(
    {
        **{"’": "'", "‘": "'", "ʼ": "'", "‒": "-", "―": "—", "\N{NO-BREAK SPACE}": " "},
        **{"[": "(", "]": ")"},  # hibari would take [word](/sounds/) for a pronunciation
    }
)
_TOO_LONG: Final = re.compile(r"(?:[^\W\d_]'?){25}")
"""Of a longer word that its dictionary lacks hibari would read the first 24 letters only."""


_MOST_PARTS: Final = 24
"""Of what stands between blanks: an address, a/b/c. hibari's time grows with their cube: 15 ms for these,
eight seconds for 200."""
_MOST_SYMBOLS: Final = 480
"""Phonemes of a text, half a minute. One of more is spelled out letter by letter."""


def read(
    text: str, g2p: G2P, alphabet: Container[str], sounds: Sequence[ToldSounds] = ()
) -> list[Phonemes]:
    """The reading of `text`, in order. alphabet: the symbols that the model knows. sounds: those of words
    whose pronunciation is told.

    Raises Unreadable if a letter or digit would not be heard.
    """
    text = text.translate(_SAME_LENGTH)
    others = _without(text, sounds)
    if _TOO_LONG.search(others) or any(
        len(SUBTOKEN_RE.findall(word)) > _MOST_PARTS for word in others.split()
    ):
        raise Unreadable("a word is too long")
    if any(told.espeak and not told.natural for told in sounds):
        raise Unreadable("the sounds of a word are not English")
    try:
        tokens = g2p.phonemize_tokens(g2p.tokenize(_told(text, sounds) if sounds else text))
    except Exception as error:  # its rules take some numbers for what int() does not
        raise Unreadable(str(error)) from error
    found: list[Phonemes] = []
    at = 0
    for token in tokens:
        place = text.find(token.text, at)
        if place >= 0:
            at = place + len(token.text)
        else:
            place = at
        # A quote may come in one token with its word.
        place += next((n for n, char in enumerate(token.text) if char.isalnum()), 0)
        symbols = "".join(char for char in token.phonemes or "" if char in alphabet)
        if symbols:
            found.append(Phonemes(symbols + (" " if token.whitespace else ""), place))
        elif any(map(str.isalnum, token.text)):
            raise Unreadable("a word has no sounds")
    symbols = "".join(each.symbols for each in found)
    if not any(map(str.isalnum, symbols)):
        raise Unreadable("nothing would be heard")
    if len(symbols) > _MOST_SYMBOLS:
        raise Unreadable("it would take too long")
    return found


def _without(text: str, sounds: Sequence[ToldSounds]) -> str:
    """The text with blanks for the words whose pronunciation is told."""
    for told in sounds:
        text = f"{text[: told.begin]}{' ' * (told.end - told.begin)}{text[told.end :]}"
    return text


def _told(text: str, sounds: Sequence[ToldSounds]) -> str:
    """The text with pronunciations as hibari takes them, and blanks where a word touches another."""
    parts, at = [], 0
    for told in sounds:
        before, word = text[at : told.begin], text[told.begin : told.end]
        if not told.natural:  # the rest of a word that began in the utterance before
            parts.append(before + " ")
        else:
            blanks = " " * before[-1:].isalnum(), " " * text[told.end : told.end + 1].isalnum()
            parts.append(f"{before}{blanks[0]}[{word}](/{told.natural}/){blanks[1]}")
        at = told.end
    return "".join(parts) + text[at:]
