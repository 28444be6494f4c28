"""How hibari reads an English text: phonemes, each row of them with its place in the text.

Written forms (numbers, money, dates) come as words already: engine.written knows their places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from hibari.g2p import G2P, SUBTOKEN_RE

if TYPE_CHECKING:
    from collections.abc import Container


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


def read(text: str, g2p: G2P, alphabet: Container[str]) -> list[Phonemes]:
    """The reading of `text`, in order. alphabet: the symbols that the model knows.

    Raises Unreadable if a letter or digit would not be heard.
    """
    text = text.translate(_SAME_LENGTH)
    if _TOO_LONG.search(text) or any(
        len(SUBTOKEN_RE.findall(word)) > _MOST_PARTS for word in text.split()
    ):
        raise Unreadable("a word is too long")
    try:
        tokens = g2p.phonemize_tokens(g2p.tokenize(text))
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
