"""The order in which the speech LM reads text, speech and special ids. No torch, no clock.

A composition hands out inputs: ids to append to the context, and how many tokens to draw after them
under which rules. The backend draws the tokens, reports them to `ended`, and asks for the next input;
None means that more text must come first (or that the stream is `done`). The inputs are those of a
running request: the last token drawn in an input is *not* part of the context when the input has ended;
where it belongs there, the next input begins with it.

Unistream reads: sos, opening, prompt text, text, task, prompt speech; then it speaks to the end.
Bistream reads sos and opening, then groups of 5 text ids, each followed by 15 speech tokens; first the
prompt's speech fills these places, then the model speaks. After 15 tokens, or sooner if the model draws
the fill token, the next text group follows; the text's last ids (fewer than 5) and the task id open the
final phase, which runs to the end of speech. (CosyVoice 2, arXiv:2412.10117, section 2.3.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import LmConfig
from .ids import IdSpace
from .interface import LmPrompt, LmTooLong, SamplingOptions


@dataclass(frozen=True, slots=True)
class LmInput:
    """One piece of work for the model.

    ids: to append to the context (ids.IdSpace); never empty.
    max_tokens: draw this many at most, at least 1.
    min_tokens: before this many the stop ids cannot be drawn.
    stop_ids: drawing one ends the input. banned_ids: cannot be drawn.
    final: speech ends with it.
    """

    ids: tuple[int, ...]
    max_tokens: int
    min_tokens: int
    stop_ids: tuple[int, ...]
    banned_ids: tuple[int, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class LmLimits:
    """Speech tokens per text token, in all, and the ids that fit into the model's context."""

    min_ratio: float = 2.0
    max_ratio: float = 20.0
    max_context: int = 32768


class Composition(ABC):
    """The part that both orders share. decoded: all ids drawn so far, fill tokens included, forced or not."""

    def __init__(self, config: LmConfig, prompt: LmPrompt, limits: LmLimits) -> None:
        """Raises ValueError for ids out of range, LmTooLong if the prompt alone does not fit."""
        self.ids = IdSpace.of(config)
        self.decoded: list[int] = []
        self.done = False
        self._limits = limits
        self._opening = (self.ids.sos, *self.ids.text(prompt.opening_ids))
        self._prompt_text = self.ids.text(prompt.text_ids)
        self._prompt_speech = self.ids.speech(prompt.speech_ids)
        self._never_in_final = self.ids.never(self.ids.eos)
        self._finished = False
        self._fed = 0
        self._prompt_share = 0
        self._spoken = 0
        self._context = 0
        self._input: LmInput | None = None
        prompt_ids = len(self._opening) + len(self._prompt_text) + len(self._prompt_speech)
        self._room(prompt_ids + 1)

    def feed(self, text_ids: Sequence[int]) -> None:
        """One piece of text. Raises ValueError for ids out of range and after `finish`."""
        if self._finished:
            raise ValueError("the text is finished")
        ids = self.ids.text(text_ids)
        if ids:
            self._fed += len(ids)
            self._take(ids)

    def finish(self) -> None:
        self._finished = True

    def next_input(self) -> LmInput | None:
        """The next piece of work; None while one is under way, while text is missing and when done.

        Raises LmTooLong.
        """
        if self.done or self._input is not None:
            return None
        if self._finished and not self._fed:
            self.done = True  # no text: nothing to say
            return None
        self._input = self._compose()
        return self._input

    def ended(self, tokens: Sequence[int]) -> None:
        """The input's tokens as drawn; the last is a stop id unless max_tokens were drawn.

        Raises ValueError if they cannot have ended the input.
        """
        lm_input = self._input
        if lm_input is None:
            raise ValueError("no input is under way")
        stopped = bool(tokens) and tokens[-1] in lm_input.stop_ids
        if not stopped and len(tokens) != lm_input.max_tokens:
            raise ValueError(f"{len(tokens)} tokens do not end an input of {lm_input.max_tokens}")
        self._input = None
        speech = tokens[:-1] if stopped else tokens
        self._context += len(lm_input.ids) + len(tokens) - 1
        self._spoken += len(speech)
        self.decoded.extend(speech)
        if lm_input.final:
            self.done = True
        else:
            self._group_ended(speech, stopped)

    @abstractmethod
    def _take(self, ids: tuple[int, ...]) -> None: ...

    @abstractmethod
    def _compose(self) -> LmInput | None: ...

    @abstractmethod
    def _group_ended(self, speech: Sequence[int], stopped: bool) -> None: ...

    def _final_input(self, ids: tuple[int, ...]) -> LmInput | None:
        """Speak to the end; None, and done, if the text's share of speech is used up."""
        room = self._room(len(ids))
        left = (self._fed + self._prompt_share) * self._limits.max_ratio - self._spoken
        if left < 1:
            self.done = True
            return None
        return LmInput(
            ids,
            max_tokens=int(min(left, room)),
            min_tokens=max(0, int(self._fed * self._limits.min_ratio) - self._spoken),
            stop_ids=(self.ids.eos,),
            banned_ids=self._never_in_final,
            final=True,
        )

    def _room(self, ids: int, tokens: int = 1) -> int:
        """How many tokens fit after `ids` more ids. Raises LmTooLong if fewer than `tokens`."""
        room = self._limits.max_context - self._context - ids
        if room < tokens:
            raise LmTooLong("the reference and the text are too long for the speech model")
        return room


class Unistream(Composition):
    """All of the text first, then all of the speech."""

    def __init__(self, config: LmConfig, prompt: LmPrompt, limits: LmLimits) -> None:
        super().__init__(config, prompt, limits)
        self._text: list[int] = []

    def _take(self, ids: tuple[int, ...]) -> None:
        self._text.extend(ids)

    def _compose(self) -> LmInput | None:
        if not self._finished:
            return None
        ids = self.ids
        return self._final_input(
            (*self._opening, *self._prompt_text, *self._text, ids.task, *self._prompt_speech)
        )

    def _group_ended(self, speech: Sequence[int], stopped: bool) -> None:
        raise AssertionError("a unistream has one input, the final one")


class Bistream(Composition):
    """Text and speech in turn, as the text comes.

    The order is a function of the whole text alone: a group is read as soon as its 5 ids are known, and
    with fewer the model waits, for more text or for its end.
    """

    def __init__(self, config: LmConfig, prompt: LmPrompt, limits: LmLimits) -> None:
        super().__init__(config, prompt, limits)
        self._mix_text = config.mix_text
        self._mix_speech = config.mix_speech
        self._pieces: deque[tuple[int, ...]] = deque()
        self._text: deque[int] = deque(self._prompt_text)
        self._speech: deque[int] = deque(self._prompt_speech)
        self._unread: list[int] = list(self._opening)
        # Prompt text without prompt speech of its own gets its share of speech from the model.
        groups = -(-len(self._speech) // self._mix_speech)
        self._prompt_share = max(0, len(self._text) - groups * self._mix_text)
        self._needs_text = not self._speech
        self._never_in_group = self.ids.never(self.ids.fill)
        # A prompt that ends within a group leaves the rest of the group's 15 places to the model.
        self._until_fill = self._mix_speech - len(self._speech) % self._mix_speech

    def _take(self, ids: tuple[int, ...]) -> None:
        self._pieces.append(ids)

    def _compose(self) -> LmInput | None:
        lm_input = None
        if self._fed:
            while self._pieces:
                self._text.extend(self._pieces.popleft())
            lm_input = self._group()
        return self._final() if lm_input is None and self._finished else lm_input

    def _group(self) -> LmInput | None:
        """Text and then up to 15 tokens; None if the text does not suffice."""
        while self._speech and len(self._text) >= self._mix_text:
            self._read(self._text, self._mix_text)
            self._read(self._speech, self._mix_speech)
        if self._speech:
            return None
        if self._needs_text:
            if len(self._text) < self._mix_text:
                return None
            self._read(self._text, self._mix_text)
        ids = self._submit()
        self._room(len(ids), self._until_fill)
        return LmInput(
            ids,
            max_tokens=self._until_fill,
            min_tokens=0,
            stop_ids=(self.ids.fill,),
            banned_ids=self._never_in_group,
            final=False,
        )

    def _final(self) -> LmInput | None:
        self._read(self._text, len(self._text))
        self._unread.append(self.ids.task)
        # In training the task id stands before all speech that is left: so does the prompt's.
        self._read(self._speech, len(self._speech))
        return self._final_input(self._submit())

    def _group_ended(self, speech: Sequence[int], stopped: bool) -> None:
        self.decoded.append(self.ids.fill)
        self._needs_text = True
        self._until_fill = self._mix_speech
        if not stopped:
            self._unread = [speech[-1]]

    def _read(self, source: deque[int], count: int) -> None:
        for _ in range(min(count, len(source))):
            self._unread.append(source.popleft())

    def _submit(self) -> tuple[int, ...]:
        ids, self._unread = tuple(self._unread), []
        return ids


def composition(
    config: LmConfig, prompt: LmPrompt, options: SamplingOptions, max_context: int
) -> Composition:
    """The order that the options ask for. Raises ValueError, LmTooLong."""
    limits = LmLimits(options.min_ratio, options.max_ratio, max_context)
    kind = Bistream if options.bistream else Unistream
    return kind(config, prompt, limits)
