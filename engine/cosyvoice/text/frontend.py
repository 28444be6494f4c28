"""A task's text, as it comes, to the text tokens of its utterances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ...plain import PlainText
from ..options import UtterancePolicy
from .items import ItemMarkers
from .japanese import KatakanaForms
from .sentences import AtomScanner, SentencePart, SentenceStream
from .tokenizer import END_OF_PROMPT, TextTokenizer
from .utterances import TextDelta, UtteranceBuilder
from .written import Normalizer, WrittenForms

_PROMPT_POLICY = UtterancePolicy(2**31, 2**31, 2**31)
"""A prompt is one utterance, however long."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """`text` as it is read out, made of the task's text[begin:end], and its tokens."""

    text: str
    ids: tuple[int, ...]
    begin: int
    end: int


class TextFrontend:
    """One task's. What comes out depends on the text and on where it was flushed alone, never on how
    it is cut into pieces.

    markup: whether marks of Markdown and HTML are taken out. japanese: how Japanese is written for the
    model; None as it is.

    Each token comes out as soon as no text that may follow can change it. `feed` takes about 0.1 ms
    per token and a millisecond or two for what the normaliser reads: give it large texts in slices, or
    off the event loop.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        normalizer: Normalizer,
        policy: UtterancePolicy | None = None,
        *,
        markup: bool = True,
        japanese: KatakanaForms | None = None,
    ) -> None:
        sounds = tokenizer.sounds
        find = None if sounds is None else sounds.row_length
        self._plain = PlainText(markup=markup, cues=True, sounds=find)
        self._sentences = SentenceStream()
        self._atoms = AtomScanner(sounds)
        self._items = ItemMarkers()
        self._forms = WrittenForms(normalizer)
        self._japanese = japanese
        self._utterances = UtteranceBuilder(tokenizer, policy or UtterancePolicy())
        self._final = False

    def feed(self, text: str) -> list[TextDelta]:
        """Take the next piece of text; return what it decides. Raises ValueError after `finish`."""
        if self._final:
            raise ValueError("the text has ended")
        parts = self._sentences.feed(self._plain.feed(text))
        return self._placed([*self._through(parts), *self._utterances.pending()])

    def flush(self) -> list[TextDelta]:
        """Return all that is left of the text so far, as if it ended: the last delta is done.

        More text may follow; it begins another utterance.
        """
        parts = [*self._sentences.feed(self._plain.flush()), *self._sentences.flush()]
        return self._placed([*self._through(parts), *self._utterances.flush()])

    def finish(self) -> list[TextDelta]:
        """Say that the text ends; return what `flush` does. Idempotent."""
        self._final = True
        return self.flush()

    def _through(self, parts: Iterable[SentencePart]) -> list[TextDelta]:
        deltas: list[TextDelta] = []
        for part in parts:
            atoms = self._atoms.feed(part.text, begin=part.begin, ends=part.ends)
            atoms = self._items.feed(atoms, ends=part.ends)
            pieces = self._forms.feed(atoms, ends=part.ends)
            if self._japanese is not None:
                pieces = self._japanese.feed(pieces, ends=part.ends)
            deltas += self._utterances.feed(pieces, ends=part.ends)
        return deltas

    def _placed(self, deltas: Iterable[TextDelta]) -> list[TextDelta]:
        """The deltas of the plain text, with the places in the text that came."""
        placed = []
        for delta in deltas:
            begin, end = self._plain.source(delta.begin, delta.end)
            placed.append(replace(delta, begin=begin, end=end))
        return placed


class UtteranceCollector:
    """Joins the deltas of utterances, for who needs them whole."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._begin: int | None = None

    def feed(self, deltas: Iterable[TextDelta]) -> list[Utterance]:
        """The utterances that `deltas` complete."""
        done = []
        for delta in deltas:
            self._ids += delta.ids
            if self._begin is None:
                self._begin = delta.begin
            if delta.done:
                done.append(Utterance(delta.text, tuple(self._ids), self._begin, delta.end))
                self._ids, self._begin = [], None
        return done


@dataclass(frozen=True, slots=True)
class TextProcessor:
    """Makes frontends, and the token prompts of the modes. Safe to share between threads.

    markup: see TextFrontend. japanese: makes what TextFrontend is given.
    """

    tokenizer: TextTokenizer
    normalizer: Normalizer
    policy: UtterancePolicy = field(default_factory=UtterancePolicy)
    markup: bool = True
    japanese: Callable[[], KatakanaForms | None] = lambda: None

    def open(self) -> TextFrontend:
        return self._frontend(self.policy)

    def prompt(self, text: str) -> tuple[int, ...]:
        """The tokens of a reference's text; none if nothing in it can be said."""
        frontend = self._frontend(_PROMPT_POLICY)
        deltas = [*frontend.feed(text), *frontend.finish()]
        return tuple(number for delta in deltas for number in delta.ids)

    def instruction(self, text: str) -> tuple[int, ...]:
        """The tokens of an instruction, its end marked as the model expects."""
        return (*self.prompt(text), self.tokenizer.special[END_OF_PROMPT])

    def _frontend(self, policy: UtterancePolicy) -> TextFrontend:
        return TextFrontend(
            self.tokenizer,
            self.normalizer,
            policy,
            markup=self.markup,
            japanese=self.japanese(),
        )
