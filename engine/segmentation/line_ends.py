"""Rules for line ends: which end a sentence, and which are places where prose was wrapped at a width.

The evidence, strongest first; the first rule that applies decides:

1. A blank line, a list marker, a heading or a change of quoting (`>`) ends the sentence.
2. Before a small letter, or a mark that begins no line, the sentence goes on. Exceptions are lists in
   small letters: a single word before another single word, or up to three words after a colon.
3. After a comma or semicolon the sentence goes on, with the pause of a clause, except in the first and
   last lines of a letter ("Dear Ann,"). A colon ends the sentence.
4. After a word that needs another ("the", "and", "of", 和, 在) the sentence goes on. After one that may
   also end a line of verse ("in", "to", a verb) it goes on before a name or a number.
5. Lines that were wrapped before bound the width of the paragraph: it is at least that of the widest
   of them, and less than that of any of them with the first word of the next. A line that fits, but
   would not with the next word, goes on, whatever begins the next line; a shorter one ends the sentence.
6. If the width is unknown, a line end ends the sentence, unless the line looks like wrapped prose:
   `_PROSE` columns or more before a name or a number, `_LONG` or more before a word that does not often
   begin a sentence; no title, no verse, and at most `_WIDEST` columns. Chinese breaks anywhere:
   `_HAN_LONG` columns, or `_HAN_PROSE` with a mark inside that does not split it into the halves of a
   couplet.

So the first line of a text is judged by itself and the first word of the next. A wrapped first line
shorter than `_LONG`, before a capitalised word that is not a known name, is taken for a line of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .boundaries import MarkKind, Verdict, abbreviation, mark_of
from .characters import is_blank, is_newline, weight
from .line_words import (
    SALUTATIONS,
    begins_line,
    goes_on,
    han_continues,
    han_goes_on,
    is_name,
    may_go_on,
    takes_name,
    takes_number,
)
from .lookahead import MOST_BLANKS, Lookahead
from .markers import find_marker
from .scripts import is_cjk

KEPT: Final = 160
"""Characters of a line that are kept; a longer line was not wrapped."""
WORD: Final = 24
"""Characters of a line's first word that are looked at."""
CONTINUING: Final = frozenset(",;:.!?)]}%，。、；：？！）】」』》〉’”％…·‰")
"""Marks that begin no line."""
_QUOTE: Final = re.compile(r"\s*(?:>\s?)+")
_WORDS: Final = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*\.?")
_INNER_END: Final = re.compile(r"([^\W\d_]{2,})[.!?][\"'”’)]*\s+\S+\s+\S")
_HAN_MARK: Final = re.compile("[，。；：！？、]")


@dataclass(slots=True)
class EndedLine:
    """A line that has ended, and what it looks like: prose, a title, verse.

    text: all of it, or KEPT characters from its start and end. successor: the marker of the next item
    of its list, "" if there is none. width: in columns. body: without quote marks (`>`) and blanks
    around it. wide: whether most of its letters are Han or kana.
    """

    text: str
    successor: str = ""
    width: int = field(init=False)
    body: str = field(init=False)
    quoted: bool = field(init=False)
    words: list[str] = field(init=False)
    wide: bool = field(init=False)

    def __post_init__(self) -> None:
        self.width = sum(map(weight, self.text.rstrip()))
        quote = _QUOTE.match(self.text)
        self.quoted = quote is not None
        self.body = self.text[quote.end() if quote else 0 :].strip()
        self.words = _WORDS.findall(self.body)
        letters = [char for char in self.body if char.isalpha()]
        self.wide = 2 * sum(map(is_cjk, letters)) > len(letters)

    @property
    def last(self) -> str:
        """The last word, "" if the line ends in something else."""
        return self.words[-1] if self.words and self.body.endswith(self.words[-1]) else ""

    @property
    def titled(self) -> bool:
        """Whether it is written like a title, a name or an address."""
        major = [
            word
            for word in self.words
            if not (goes_on(word) or may_go_on(word) or takes_name(word))
        ]
        capitals = sum(not word[0].islower() for word in major)
        return len(major) > 1 and 4 * capitals > 3 * len(major)

    @property
    def heading(self) -> bool:
        return self.body.startswith("#") or (self.body.startswith("|") and self.body.endswith("|"))

    @property
    def running(self) -> bool:
        """Whether a sentence ends inside the line and the next one goes on for some words."""
        return any(abbreviation(found.group(1)) is None for found in _INNER_END.finditer(self.body))

    @property
    def marked(self) -> bool:
        """Whether it has a Chinese mark before its last character."""
        return _HAN_MARK.search(self.body, 0, len(self.body) - 1) is not None

    @property
    def couplet(self) -> bool:
        """Whether one mark splits it into halves: two lines of verse written as one."""
        marks = [found.start() for found in _HAN_MARK.finditer(self.body)]
        return len(marks) == 1 and 2 * marks[0] + 1 == len(self.body)

    @property
    def begins(self) -> int:
        """Columns of its first word and the blank before it; in Chinese, of what cannot be split."""
        if not self.body or is_cjk(self.body[0]):
            return 2 * (1 + sum(char in CONTINUING for char in self.body[1:2]))
        return 1 + sum(map(weight, self.body.split(maxsplit=1)[0][:WORD]))


_PROSE: Final = 30
_LONG: Final = 46
_WIDEST: Final = 125
_HAN_PROSE: Final = 32
_HAN_EVEN: Final = 24
_HAN_LONG: Final = 40
_SLACK: Final = 3
"""Columns by which lines wrapped by hand leave their width."""
_LABEL: Final = 8
_SHORT_ITEM: Final = 3
"""Words of an item in small letters, at most."""

_OPENERS: Final = frozenset("\"'“‘«‹([{（「『《〈【¿¡*_")


@dataclass(slots=True)
class Paragraph:
    """Evidence from the line ends since the last blank line.

    widest: the widest of the wrapped lines, in columns. bound: columns that every wrapped line exceeds
    with the word after it. wraps, ends: lines that went on, and lines that ended a sentence without a
    mark. listed: whether a line ended in a colon. last: the width of the line before.
    """

    widest: int = 0
    bound: int = 10**9
    wraps: int = 0
    ends: int = 0
    listed: bool = False
    last: int = 0

    @property
    def known(self) -> bool:
        """Whether its lines were wrapped at one width."""
        return self.wraps > 0 and self.widest <= self.bound + _SLACK

    def full(self, width: int, more: int) -> bool:
        """Whether a line of this width had no room for `more` columns."""
        return self.known and width <= self.bound + _SLACK and width + more + _SLACK > self.widest


class LineJudge:
    """Judges the line ends of one text, one after the other."""

    def __init__(self) -> None:
        self._paragraph = Paragraph()
        self._before = Paragraph()
        """The last paragraph before this one whose width is known."""
        self._wrapped: int | None = None
        """The width of the line before, if it was wrapped and is not in `bound` yet."""

    def judge(self, line: EndedLine, ahead: Lookahead) -> Verdict:
        """Judge what the end of `line` ends, NOTHING if the line goes on. `ahead` begins after the line end.

        Raises NeedMoreText: call it again with more text.
        """
        paragraph = self._paragraph
        if self._wrapped is not None and line.body:
            paragraph.bound = min(paragraph.bound, self._wrapped + line.begins)
            self._wrapped = None
        start = _next_line(line, ahead)
        if start is None:
            if paragraph.known:
                self._before = paragraph
            self._paragraph = Paragraph()
            self._wrapped = None
            return Verdict.SENTENCE
        verdict = self._judge(line, start)
        if line.body:
            if verdict is Verdict.NOTHING:
                paragraph.wraps += 1
                paragraph.widest = max(paragraph.widest, line.width)
                self._wrapped = line.width
            elif verdict is Verdict.SENTENCE and line.last:
                paragraph.ends += 1
            paragraph.listed = paragraph.listed or line.body.endswith((":", "："))
            paragraph.last = line.width
        return verdict

    def _judge(self, line: EndedLine, start: Lookahead) -> Verdict:
        first = start.char()
        if not first or not line.body:
            return Verdict.NOTHING
        if line.heading or first == ">" or self._begins_item(line, start):
            return Verdict.SENTENCE
        if first in CONTINUING:
            return Verdict.NOTHING
        start = _past_openers(start)
        if start.char().islower() and not start.char(1).isupper():
            return self._before_small(line, start)
        ending = line.body[-1]
        mark = mark_of(ending)
        if mark in {MarkKind.COMMA, MarkKind.WIDE_COMMA}:
            return self._after_comma(line, ending, start)
        if mark is MarkKind.DASH or (
            mark is MarkKind.HYPHEN and line.body[-2:-1] in {"", " ", ending}
        ):
            return Verdict.CLAUSE
        if mark is MarkKind.HYPHEN:
            return Verdict.NOTHING
        goes = self._goes_on_wide if line.wide else self._goes_on_spaced
        return Verdict.NOTHING if goes(line, start) else Verdict.SENTENCE

    def _begins_item(self, line: EndedLine, start: Lookahead) -> bool:
        marker = find_marker(start, line.successor)
        if marker is None:
            return False
        if start.char().isdigit() and marker.number > 1 and marker.text != line.successor:
            # As CommonMark has it: in running text a number is a marker only if it begins or goes on.
            more = len(marker.text) + 1
            return not (takes_number(line.last) or self._paragraph.full(line.width, more))
        return True

    def _before_small(self, line: EndedLine, start: Lookahead) -> Verdict:
        if line.body[-1] in ":：":
            return Verdict.SENTENCE if line.width < _PROSE else Verdict.CLAUSE
        words = line.words
        if not line.last or len(words) > _SHORT_ITEM or _asks(line.last):
            return Verdict.NOTHING
        paragraph = self._paragraph
        ragged = paragraph.ends > 0 and not paragraph.wraps and not line.body[0].isupper()
        if paragraph.listed or ragged:
            return Verdict.SENTENCE
        if len(words) > 1:
            return Verdict.NOTHING
        length = 0
        while length < WORD and start.char(length).isalpha():
            length += 1
        after = start.char(length)
        return Verdict.SENTENCE if after and after in "\r\n" else Verdict.NOTHING

    def _after_comma(self, line: EndedLine, ending: str, start: Lookahead) -> Verdict:
        if ending in ":：":
            full = self._paragraph.full(line.width, _columns(start))
            return Verdict.CLAUSE if full else Verdict.SENTENCE
        letter = line.width <= _PROSE and line.body.lower().startswith(SALUTATIONS)
        return Verdict.SENTENCE if letter else Verdict.CLAUSE

    def _goes_on_spaced(self, line: EndedLine, start: Lookahead) -> bool:
        """Whether a line of a script with blanks goes on, where the next line begins with no small letter."""
        paragraph, last = self._paragraph, line.last
        if goes_on(last):
            return True
        number = start.char().isdigit()
        if number and takes_number(last):
            return True
        known = paragraph.known or self._before.known
        asks = may_go_on(last) or takes_name(last)
        if line.width < _PROSE and not known and not asks:
            return False
        word = start.word(WORD)
        begins = not number and begins_line(word.rstrip("."))
        if begins and may_go_on(last):
            begins = not start.after(len(word)).visible().isupper()  # in | New York
        if asks and len(line.words) >= _SHORT_ITEM and not begins:
            sure = takes_name(last) or paragraph.ends > 0
            if not sure or number or is_name(word):
                return True
        if line.width > _WIDEST:
            return False
        if paragraph.known:
            return paragraph.full(line.width, _columns(start))
        if line.width < _PROSE or (word and start.char(len(word)) in {":", "："}):
            return False
        if self._before.full(line.width, _columns(start)):
            return True
        shouted = line.body.isupper() and word.isupper()
        if paragraph.ends or (not shouted and (begins or line.titled)):
            return False
        if number:
            return not line.body[0].isdigit()
        if line.width >= _LONG or line.running:
            return True
        return is_name(word) and not shouted

    def _goes_on_wide(self, line: EndedLine, start: Lookahead) -> bool:
        """Whether a line of Chinese or Japanese goes on."""
        paragraph = self._paragraph
        if len(line.body) >= 5 and han_goes_on(line.body[-1]):
            return True
        if han_continues(start.char()) and han_continues(start.char() + start.char(1)):
            return True
        known = paragraph.known or self._before.known
        if (line.width < _HAN_EVEN and not known) or line.width > _WIDEST or _labelled(start):
            return False
        if paragraph.known:
            return paragraph.full(line.width, _columns(start))
        if self._before.full(line.width, _columns(start)):
            return True
        if line.couplet:
            return False
        if not line.marked:
            return line.width >= _HAN_LONG
        return line.width >= _HAN_PROSE or abs(line.width - paragraph.last) <= 2


def _next_line(line: EndedLine, ahead: Lookahead) -> Lookahead | None:
    """Skip to the text of the next line; None if it is blank or not quoted like `line`."""
    start = _past_blanks(ahead)
    if start is None or not line.quoted or not start.char():
        return start
    if start.char() != ">":
        return None
    count = 0
    while count < MOST_BLANKS and (start.char(count) == ">" or start.char(count) == " "):
        count += 1
    return _past_blanks(start.after(count))


def _asks(word: str) -> bool:
    """Whether `word` needs another word after it."""
    return goes_on(word) or may_go_on(word) or takes_name(word)


def _past_blanks(ahead: Lookahead) -> Lookahead | None:
    """Skip the blanks of a line; None if the line has nothing else."""
    count = 0
    while (char := ahead.char(count)) and is_blank(char):
        if is_newline(char) or count == MOST_BLANKS:
            return None
        count += 1
    return ahead.after(count)


def _past_openers(start: Lookahead) -> Lookahead:
    count = 0
    while count < 3 and start.char(count) in _OPENERS and start.char(count):
        count += 1
    return start.after(count)


def _columns(start: Lookahead) -> int:
    """Columns of the first word and the blank before it, of one character in Chinese."""
    first = start.char()
    if is_cjk(first):
        return 2
    count = 1
    columns = 1 + weight(first or " ")
    while count < WORD and (char := start.char(count)) and not is_blank(char) and not is_cjk(char):
        columns += weight(char)
        count += 1
    return columns


def _labelled(start: Lookahead) -> bool:
    """Whether the line begins with a speaker's name and a colon."""
    for place in range(_LABEL):
        char = start.char(place)
        if char in {":", "："}:
            return place > 0
        if not (char.isalnum() or char == " "):
            return False
    return False
