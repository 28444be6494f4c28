"""Pronunciation Lexicon files (https://www.w3.org/TR/pronunciation-lexicon/): read and written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from cosyserve.protocol.elevenlabs.dictionaries import read_rule
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.phrases import Pronunciation, Rule

LONGEST: Final = 1024 * 1024
"""Bytes of a file."""
_DEEPEST: Final = 8
_LONGEST_TEXT: Final = 4096
_NAMESPACE: Final = "http://www.w3.org/2005/01/pronunciation-lexicon"


def read_pls(data: bytes) -> tuple[Rule, ...]:
    """The rules of a lexicon, one for each grapheme. Raises InvalidParameter, which names the line."""
    if len(data) > LONGEST:
        raise InvalidParameter(f"file: {len(data)} bytes; allowed: up to {LONGEST}")
    return _Lexicon().read(data)


def written_pls(rules: Iterable[Rule]) -> bytes:
    """A lexicon of these rules."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<lexicon version="1.0" xmlns="{_NAMESPACE}" alphabet="ipa" xml:lang="en-US">',
    ]
    for rule in rules:
        lines += ["  <lexeme>", f"    <grapheme>{escape(rule.phrase)}</grapheme>"]
        if isinstance(rule, Pronunciation):
            alphabet = "" if rule.alphabet == "ipa" else f' alphabet="{rule.alphabet}"'
            lines.append(f"    <phoneme{alphabet}>{escape(rule.sounds)}</phoneme>")
        else:
            lines.append(f"    <alias>{escape(rule.spoken)}</alias>")
        lines.append("  </lexeme>")
    return ("\n".join([*lines, "</lexicon>"]) + "\n").encode()


class _Lexicon:
    """Reads one file."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._open: list[str] = []  # the elements around the current place
        self._alphabet = "ipa"
        self._text = ""
        self._line = 0  # of the lexeme
        self._graphemes: list[str] = []
        self._spoken: JsonObject | None = None  # the first pronunciation of the lexeme
        self._phonemes = ""  # the alphabet of the phoneme that is being read
        self._parser = expat.ParserCreate(namespace_separator=None)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, data: bytes) -> tuple[Rule, ...]:
        try:
            self._parser.Parse(data, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            line = error.lineno if isinstance(error, expat.ExpatError) else 1
            raise InvalidParameter(
                f"file: line {line}: this is no well-formed XML; allowed: a lexicon in PLS"
            ) from None
        return tuple(self._rules)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self._open and name != "lexicon":
            raise self._fault(f"<{name[:40]}> is no lexicon", "<lexicon> around all")
        if len(self._open) >= _DEEPEST:
            raise self._fault("elements are nested too deep", f"up to {_DEEPEST}")
        self._open.append(name)
        self._text = ""
        match name:
            case "lexicon":
                self._alphabet = attributes.get("alphabet", "ipa")
            case "lexeme":
                self._line = self._parser.CurrentLineNumber
                self._graphemes, self._spoken = [], None
            case "phoneme":
                self._phonemes = attributes.get("alphabet", self._alphabet)

    def _characters(self, text: str) -> None:
        self._text += text
        if len(self._text) > _LONGEST_TEXT:
            raise self._fault("a text is too long", f"up to {_LONGEST_TEXT} characters")

    def _end(self, name: str) -> None:
        text = " ".join(self._text.split())
        match self._open.pop():
            case "grapheme":
                self._graphemes.append(text)
            case "phoneme" if self._spoken is None:
                self._spoken = {"type": "phoneme", "phoneme": text, "alphabet": self._phonemes}
            case "alias" if self._spoken is None:
                self._spoken = {"type": "alias", "alias": text}
            case "lexeme":
                self._lexeme()
        self._text = ""

    def _lexeme(self) -> None:
        where = f"file: line {self._line}: lexeme"
        if not self._graphemes or self._spoken is None:
            raise InvalidParameter(
                f"{where}: incomplete; allowed: a grapheme at least, and a phoneme or an alias"
            )
        for grapheme in self._graphemes:
            self._rules.append(read_rule({**self._spoken, "string_to_replace": grapheme}, where))

    def _doctype(self, *_: object) -> None:
        raise self._fault("a document type and its entities are not allowed", "none")

    def _fault(self, what: str, allowed: str) -> InvalidParameter:
        line = self._parser.CurrentLineNumber
        return InvalidParameter(f"file: line {line}: {what}; allowed: {allowed}")
