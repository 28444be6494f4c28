"""Text to the speech LM's text tokens: Qwen2's byte-level BPE, and the special tokens of the model's family.

Special tokens never come out of plain text, whatever it says: the BPE model is built without them, and
AtomScanner finds those that users may write (MARKUP, and rows of SoundTokens). Text that looks like another
one is read as text.

TextTokenStream hands out the tokens of an utterance as soon as nothing that follows can change them. Two
facts make that exact. Merges never cross the border of a word (see TextTokenizer.words), and all words
but the last are certain. Inside a word, a byte-level BPE with fixed merge ranks gives every stretch
between two token borders the tokens it would have alone, since no merge ever crossed them. So whatever
comes later, the result up to where its last open token begins is the result of that prefix alone; the
tokens that all such prefixes have in common are certain. Chinese needs this: there a word is a whole
clause.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from ...plain import CUES
from .sounds import SoundTokens

END_OF_TEXT: Final = "<|endoftext|>"
END_OF_PROMPT: Final = "<|endofprompt|>"
MARKUP: Final = CUES
"""The special tokens that a text to be spoken may contain."""
SPECIAL_TOKENS: Final = (END_OF_TEXT, "<|im_start|>", "<|im_end|>", END_OF_PROMPT, *MARKUP)
"""Those that every family has, in the order in which those that a vocabulary lacks get numbers: the LM's
embedding depends on it."""

_PRE_TOKENS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's split into words, numerals and runs of marks; merges never cross it."""


class TokenizerError(Exception):
    """The tokenizer's files are missing or malformed. Names the file."""


class TextTokenizer:
    """Immutable; safe to share between threads.

    special: the number of every special token. sounds: those that are sounds, None without such.
    size: one more than the largest number there is.
    """

    def __init__(
        self, bpe: Tokenizer, special: Mapping[str, int], sounds: SoundTokens | None = None
    ) -> None:
        self._bpe = bpe
        self.special = dict(special)
        self.sounds = sounds
        words = bpe.get_vocab(with_added_tokens=False)
        self.size = max((*words.values(), *self.special.values()), default=-1) + 1
        self._sorted = sorted(words)
        self._longest = max(map(len, words), default=0)

    @classmethod
    def load(
        cls,
        folder: Path,
        special: Sequence[str] = SPECIAL_TOKENS,
        sounds: SoundTokens | None = None,
    ) -> TextTokenizer:
        """Load a folder such as `CosyVoice-BlankEN`: tokenizer.json, or vocab.json and merges.txt.

        special: of the model's family, in the order of their numbers; sounds: those of them that are.
        Numbers that tokenizer.json or tokenizer_config.json give special tokens are kept.
        Raises TokenizerError.
        """
        whole = folder / "tokenizer.json"
        if whole.is_file():
            bpe, added = _of_whole(whole)
        else:
            bpe, added = _of_parts(folder), {}
        config = folder / "tokenizer_config.json"
        if config.is_file():
            added |= _added_by(config)
        return cls(bpe, _numbered(bpe, added, special), sounds)

    def encode(self, text: str) -> list[int]:
        """Token numbers of plain text; markup in it is text like any other."""
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words that merges never cross, each as (bytes as the vocabulary spells them, characters).

        `text` is taken as it is; `encode` would bring it into NFC first.
        """
        found = self._bpe.pre_tokenizer.pre_tokenize_str(text)
        return [(spelling, end - begin) for spelling, (begin, end) in found]

    def merge(self, spelling: str) -> list[tuple[int, int]]:
        """(number, bytes) of each token of a word, or of any piece of one that begins or ends at a token."""
        return [(token.id, len(token.value)) for token in self._bpe.model.tokenize(spelling)]

    def open_starts(self, spelling: str) -> list[int]:
        """Where the token that holds the end of `spelling` may begin, if the word may go on.

        The last place is its length: a token may end there.
        """
        first = max(0, len(spelling) - self._longest + 1)
        places = range(first, len(spelling))
        return [place for place in places if self._extends(spelling[place:])] + [len(spelling)]

    def _extends(self, start: str) -> bool:
        """Whether some token begins with `start` and goes on."""
        index = bisect_left(self._sorted, start)
        if index < len(self._sorted) and self._sorted[index] == start:
            index += 1
        return index < len(self._sorted) and self._sorted[index].startswith(start)


def _of_parts(folder: Path) -> Tokenizer:
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    for path in (vocabulary, merges):
        if not path.is_file():
            raise TokenizerError(f"{path} is missing")
    try:
        model = models.BPE.from_file(str(vocabulary), str(merges))
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"{vocabulary} and {merges} cannot be read: {error}") from error
    bpe = Tokenizer(model)
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRE_TOKENS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return bpe


def _of_whole(path: Path) -> tuple[Tokenizer, dict[str, int]]:
    content = _read_json(path)
    model = content.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("ignore_merges"):
        raise TokenizerError(f"{path} is not a byte-level BPE tokenizer like Qwen2's")
    added = _tokens(path, content.get("added_tokens") or [])
    content |= {"added_tokens": [], "truncation": None, "padding": None, "post_processor": None}
    try:
        bpe = Tokenizer.from_str(json.dumps(content))
        sample = bpe.pre_tokenizer.pre_tokenize_str("a b") if bpe.pre_tokenizer else []
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"{path} cannot be read: {error}") from error
    if [spelling for spelling, _ in sample] != ["a", "Ġb"]:
        raise TokenizerError(f"{path} does not split words as Qwen2 does")
    return bpe, added


def _added_by(path: Path) -> dict[str, int]:
    """Special tokens by what tokenizer_config.json says."""
    added = _read_json(path).get("added_tokens_decoder") or {}
    if not isinstance(added, dict):
        raise TokenizerError(f"{path}: added_tokens_decoder is not an object")
    entries = [
        entry | {"id": int(number)}
        for number, entry in added.items()
        if isinstance(entry, dict) and number.isdigit()
    ]
    return _tokens(path, entries)


def _tokens(path: Path, entries: Sequence[Any]) -> dict[str, int]:
    try:
        return {str(entry["content"]): int(entry["id"]) for entry in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise TokenizerError(f"{path} has a malformed added token: {error!r}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} is not a JSON object")
    return content


def _numbered(bpe: Tokenizer, added: Mapping[str, int], special: Sequence[str]) -> dict[str, int]:
    """Every special token's number: the one it has, else the next free one."""
    words = bpe.get_vocab(with_added_tokens=False)
    free = max((*words.values(), *added.values()), default=-1) + 1
    numbers = dict(added)
    for token in special:
        if token in numbers:
            continue
        if token in words:
            numbers[token] = words[token]
        else:
            numbers[token] = free
            free += 1
    return numbers


@dataclass(frozen=True, slots=True)
class TextToken:
    """`id`, and the whole[begin:end] it came from. Neighbours overlap where characters are parted."""

    id: int
    begin: int
    end: int


@dataclass(slots=True)
class TextTokenStream:
    """The tokens of the text pushed so far; equal to the tokens of it all at once."""

    tokenizer: TextTokenizer
    text: str = ""
    _word: str = ""
    _places: list[tuple[int, int]] = field(default_factory=list)
    _handed_bytes: int = 0
    _handed: int = 0

    def push(self, text: str, begin: int, end: int) -> None:
        """Add `text`, which whole[begin:end] became. It must not end in a blank nor part a cluster."""
        if len(text) == end - begin:
            self._places += [(place, place + 1) for place in range(begin, end)]
        else:
            self._places += [(begin, end)] * len(text)
        self._word += text
        self.text += text

    def push_special(self, names: Sequence[str], begin: int, end: int) -> list[TextToken]:
        """Add special tokens; returns what is certain: all there is."""
        tokens = self.flush()
        self.text += "".join(names)
        self._handed += len(names)
        special = self.tokenizer.special
        return [*tokens, *(TextToken(special[name], begin, end) for name in names)]

    def count(self, more: str = "") -> int:
        """How many tokens the text so far has, with `more` after it."""
        words = self.tokenizer.words(self._word + more)
        found = sum(len(self.tokenizer.merge(spelling)) for spelling, _ in words)
        return self._handed - self._handed_in_word() + found

    def most(self, more: str = "") -> int:
        """No less than `count`, and cheap."""
        return self._handed + 4 * (len(self._word) + len(more))

    def take(self) -> list[TextToken]:
        """The tokens that have become certain since the last call."""
        words = self.tokenizer.words(self._word)
        if not words:
            return []
        tokens: list[TextToken] = []
        for spelling, size in words[:-1]:
            tokens += self._hand(self.tokenizer.merge(spelling))
            self._leave_word(size)
        spelling = words[-1][0]
        if self._word[-1].isalpha():
            tokens += self._hand(self._certain(spelling))
        return tokens

    def flush(self) -> list[TextToken]:
        """The rest: what comes next is not joined to the text so far."""
        tokens: list[TextToken] = []
        for spelling, size in self.tokenizer.words(self._word):
            tokens += self._hand(self.tokenizer.merge(spelling))
            self._leave_word(size)
        return tokens

    def _certain(self, spelling: str) -> list[tuple[int, int]]:
        """The tokens that the open word begins with, however it goes on."""
        ways = [
            self.tokenizer.merge(spelling[:place]) for place in self.tokenizer.open_starts(spelling)
        ]
        return [
            steps[0]
            for steps in takewhile(
                lambda steps: steps.count(steps[0]) == len(steps), zip(*ways, strict=False)
            )
        ]

    def _hand(self, merged: Sequence[tuple[int, int]]) -> list[TextToken]:
        """The first word's tokens that were not handed out yet."""
        tokens = []
        owners = self._owners()
        at = 0
        for number, size in merged:
            if at >= self._handed_bytes:
                begin = self._places[owners[at]][0]
                tokens.append(TextToken(number, begin, self._places[owners[at + size - 1]][1]))
            at += size
        self._handed_bytes = max(self._handed_bytes, at)
        self._handed += len(tokens)
        return tokens

    def _owners(self) -> list[int]:
        """For each byte of the text not left yet, the character it is of."""
        return [
            place for place, char in enumerate(self._word) for _ in range(len(char.encode("utf-8")))
        ]

    def _leave_word(self, size: int) -> None:
        self._word = self._word[size:]
        del self._places[:size]
        self._handed_bytes = 0

    def _handed_in_word(self) -> int:
        """How many tokens of the open word were handed out."""
        if not self._handed_bytes:
            return 0
        at = count = 0
        for _, size in self.tokenizer.merge(self.tokenizer.words(self._word)[0][0]):
            if at >= self._handed_bytes:
                break
            at += size
            count += 1
        return count
