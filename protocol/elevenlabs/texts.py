"""What both WebSockets share: a client's messages, the contexts that they feed, and what is sent of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

import pybase64

from ..breaks import Break, BreakScanner, spoken_text
from ..errors import InvalidParameter
from ..fields import JsonObject, optional, refusal
from ..messages import ContinueTask, ResultGenerated, RunTask, Word
from ..phrases import Locator
from ..surrogates import join
from .alignment import CharacterSpans, CharacterTimes, in_milliseconds
from .dictionaries import locators_of
from .parameters import StreamOptions, speed_of

LONGEST_CONTEXT_ID: Final = 256


@dataclass(frozen=True, slots=True)
class Message:
    """A client's message. text: None if it has none; "" is a text.

    opens: whether it looks like a context's first one, with a blank text or with settings. dictionaries:
    those that it names.
    """

    text: str | None
    speed: float = 1.0
    flush: bool = False
    opens: bool = False
    close_context: bool = False
    close_socket: bool = False
    dictionaries: tuple[Locator, ...] = ()


def read_message(fields: JsonObject) -> Message:
    """Raises InvalidParameter, which names the field."""
    text = optional(fields, "text", str)
    dictionaries = locators_of(fields)
    configures = any(
        fields.get(name) is not None for name in ("voice_settings", "generation_config")
    )
    return Message(
        text,
        speed_of(fields),
        flush=_is_set(fields, "flush"),
        opens=configures or bool(dictionaries) or bool(text and text.isspace()),
        close_context=_is_set(fields, "close_context"),
        close_socket=_is_set(fields, "close_socket"),
        dictionaries=dictionaries,
    )


def context_id_of(fields: JsonObject) -> str | None:
    """The context a message is for; None: the one without an id. Raises InvalidParameter."""
    context_id = optional(fields, "context_id", str) or optional(fields, "contextId", str) or None
    if context_id is not None and len(context_id) > LONGEST_CONTEXT_ID:
        allowed = f"at most {LONGEST_CONTEXT_ID} characters"
        raise refusal("context_id", context_id, allowed)
    return context_id


def _is_set(fields: JsonObject, name: str) -> bool:
    return optional(fields, name, bool) or False


_WIDE_ENDS: Final = "\u2026\u3002\uff01\uff1f"
"""Sentence ends of scripts without blanks, in which a single word may be a sentence."""
_ENDS: Final = f".!?{_WIDE_ENDS}"


class State(Enum):
    OPEN = auto()
    CLOSING = auto()
    FAILED = auto()


@dataclass(slots=True)
class Context:
    """A text, its name at the client, and how far its speech was reported.

    begun: the text is more than blanks. blank: it ends with one. flushed: it ends with a client's flush.
    half: the high surrogate that it ends with. breaks: finds the pauses in it. times: of its characters.
    reported: milliseconds of speech whose characters were sent. words_end: end of the last word, in code
    points of the text without markup. dictionaries: those that its first message named.
    """

    name: str | None
    state: State = State.OPEN
    begun: bool = False
    blank: bool = True
    flushed: bool = False
    half: str = ""
    breaks: BreakScanner = field(default_factory=BreakScanner)
    times: CharacterTimes = field(default_factory=CharacterTimes)
    reported: int = 0
    words_end: int = 0
    dictionaries: tuple[Locator, ...] = ()


class Texts:
    """What both WebSockets share: texts become tasks, events become messages."""

    def __init__(self, options: StreamOptions, *, from_start: bool) -> None:
        """from_start: times count from the beginning of the speech, not from the message before."""
        self._options = options
        self._from_start = from_start

    # Commands

    def start(self, task_id: str, context: Context, message: Message) -> RunTask:
        text, flush = self._text(context, message)
        context.dictionaries = message.dictionaries
        parameters = self._options.speech(message.speed, message.dictionaries)
        return RunTask(task_id, self._options.model, parameters, text, flush)

    def go_on(self, task_id: str, context: Context, message: Message) -> ContinueTask:
        """Raises InvalidParameter for dictionaries that the first message did not name."""
        if message.dictionaries and message.dictionaries != context.dictionaries:
            error = InvalidParameter(
                "pronunciation_dictionary_locators: others than those of the text's first message; allowed:"
                " in that one alone"
            )
            raise error.for_task(task_id)
        text, flush = self._text(context, message)
        return ContinueTask(task_id, text, flush)

    def _text(self, context: Context, message: Message) -> tuple[str, bool]:
        """The text to speak, and whether a sentence ends after it.

        Blanks before a text only keep the connection alive. A blank is added after a sentence: clients
        that send whole sentences send none, and join the characters that come back.
        """
        text, context.half = join(context.half, message.text or "")
        if not context.begun:
            text = text.lstrip()
        said = context.breaks.feed(text)
        cut = context.breaks.holds or context.half
        ends = self._options.auto_mode and not cut and _ends_with(text, _ENDS)
        several = len(text.split(maxsplit=1)) > 1
        flush = message.flush or (ends and (several or _ends_with(text, _WIDE_ENDS)))
        if text:
            context.begun, context.blank = True, text[-1].isspace()
        context.flushed = context.begun and (
            message.flush or (context.flushed and not text.strip())
        )
        if (flush or ends) and not (context.blank or cut):
            said += context.breaks.feed(" ")
            text, context.blank = text + " ", True
        self._note(context, said)
        return text, flush

    def remainder(self, context: Context) -> str:
        """The end of the text that was held back, once no more of it comes."""
        text, context.half = join(context.half, "", last=True)
        self._note(context, [*context.breaks.feed(text), *context.breaks.finish()])
        return text

    def _note(self, context: Context, said: Sequence[str | Break]) -> None:
        """Add to the text whose characters get times; in SSML only the words give that text."""
        if not self._options.enable_ssml:
            context.times.feed(spoken_text(said))

    # Events

    def result(self, context: Context, event: ResultGenerated) -> JsonObject:
        end = event.begin + event.metrics.speech_len
        found = context.times.take(self._words(context, event.words), end)
        return {
            "audio": pybase64.b64encode_as_string(event.data),
            "isFinal": None,
            **self._aligned(context, found),
        }

    def _words(self, context: Context, words: Sequence[Word]) -> Sequence[Word]:
        """The words with their places in the text whose characters get times."""
        if not self._options.enable_ssml:
            return words
        # The text without its markup is known by its words alone.
        found = []
        for word in words:
            if context.words_end < word.text_begin and context.times:
                context.times.feed(" ")
            begin = len(context.times)
            context.times.feed(word.text)
            found.append(replace(word, text_begin=begin, text_end=len(context.times)))
            context.words_end = word.text_end
        return found

    def _aligned(self, context: Context, found: CharacterSpans | None) -> JsonObject:
        """The same times under both names: the text is not normalized."""
        times = None
        if found is not None:
            times = in_milliseconds(found, 0 if self._from_start else context.reported)
            context.reported = round(found.end * 1000)
        return {"normalizedAlignment": times, "alignment": times}

    def ended(self, context: Context) -> list[JsonObject]:
        last: JsonObject = {"audio": None, "isFinal": True, **self._aligned(context, None)}
        remainder = context.times.remainder()
        if remainder is None:
            return [last]
        return [{"audio": "", "isFinal": None, **self._aligned(context, remainder)}, last]


def _ends_with(text: str, marks: str) -> bool:
    """Whether one of these is among what follows the last word."""
    for character in reversed(text):
        if character in marks:
            return True
        if character.isalnum() or character == "_":
            return False
    return False
