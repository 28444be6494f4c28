"""The wire of `/api-ws/v1/inference`, and what the codec remembers of a task to report its sentences."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from ..breaks import Break, BreakScanner, begins_markup, spoken_text
from ..codec import Frame
from ..cosyvoice.codec import error_fields, event_frame, milliseconds, read_command, spoken_output
from ..fields import JsonObject, optional, refusal, required
from ..messages import (
    CancelTask,
    ContinueTask,
    Event,
    FinishTask,
    ResultGenerated,
    RunTask,
    Sentence,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Word,
)
from ..surrogates import join
from ..text import GrowingText, count_characters
from .parameters import WHERE, check_model, speech_parameters

ACTIONS: Final = ("run-task", "continue-task", "finish-task")
_INPUT: Final = "payload.input"


def decode_command(data: bytes | str) -> TaskCommand:
    """Read a client's text frame. The text is as the client wrote it: see `surrogates.join`.

    Raises as `read_command` does.
    """
    return read_command(data, _command)


def _command(action: str, task_id: str, message: JsonObject) -> TaskCommand:
    payload = optional(message, "payload", dict) or {}
    given = optional(payload, "input", dict, "payload") or {}
    match action:
        case "run-task":
            model = check_model(required(payload, "model", str, "payload"))
            parameters = optional(payload, "parameters", dict, "payload")
            if parameters is None:
                raise refusal(WHERE, None, "an object with a voice at least")
            return RunTask(task_id, model, speech_parameters(parameters), _text(given))
        case "continue-task":
            flush = bool(optional(given, "flush", bool, _INPUT))
            if not flush:
                required(given, "text", str, _INPUT)
            return ContinueTask(task_id, _text(given), flush)
        case "finish-task":
            return _finish(task_id, given)
        case _:
            raise refusal("header.action", action, ", ".join(ACTIONS))


def _finish(task_id: str, given: JsonObject) -> TaskCommand:
    directive = optional(given, "directive", str, _INPUT)
    if directive == "cancel":
        return CancelTask(task_id)
    if directive is not None:
        raise refusal(f"{_INPUT}.directive", directive, "cancel, or none")
    return FinishTask(task_id, _text(given))


def _text(given: JsonObject) -> str:
    return optional(given, "text", str, _INPUT) or ""


_Kind = Literal["sentence-begin", "sentence-synthesis", "sentence-end"]

ERROR_CODES: Final = {
    "TaskTimeout": "CLIENT_ERROR",
    "Throttled": "Throttling.RateQuota",
    "ReferenceAudioNotFound": "InvalidParameter",
    "TextTooLong": "InvalidParameter",
    "InvalidAudio": "InvalidParameter",
    "EngineUnavailable": "ServiceUnavailable",
}
"""This dialect's names for wire codes; a code that is not here has the same name."""

_BRACKET: Final = re.compile("([<>])")


@dataclass(slots=True)
class _Spoken:
    """A task's text so far, and the sentence that is being spoken.

    is_markup: whether the text is SSML; None while undecided. breaks: finds the breaks of a plain text;
    None if they count as text. text: without breaks. half: the high surrogate that the text ends with.
    characters: usage, without tags, as far as it is known what is a tag. undecided: text that may begin
    markup. tag: characters from the last `<` on that no `>` has followed.
    sentence: the one being spoken; words: those of it that were spoken.
    """

    is_markup: bool | None
    breaks: BreakScanner | None = None
    text: GrowingText = field(default_factory=GrowingText)
    half: str = ""
    characters: int = 0
    undecided: str = ""
    tag: int = 0
    sentence: Sentence | None = None
    words: list[Word] = field(default_factory=list)

    def take(self, text: str, *, flush: bool = False, last: bool = False) -> str:
        """Add the next piece; returns it with surrogate pairs joined that were cut in two."""
        taken, self.half = join(self.half, text, last=last)
        text = self.undecided + taken
        if self.is_markup is None:
            self.is_markup = begins_markup(text, final=flush or last)
        self.undecided = text.lstrip() if self.is_markup is None else ""
        self._count(text.removesuffix(self.undecided), last)
        return taken

    def _count(self, text: str, last: bool) -> None:
        if self.is_markup:
            self.text.append(text)
            self._count_outside_tags(text)
            return
        parts: list[str | Break] = [text]
        if self.breaks is not None:
            parts = self.breaks.feed(text) + (self.breaks.finish() if last else [])
        plain = spoken_text(parts)
        self.text.append(plain)
        self.characters += count_characters(plain)

    def _count_outside_tags(self, text: str) -> None:
        for part in _BRACKET.split(text):
            if part == "<":
                self.characters += self.tag  # the one before began no tag
                self.tag = 1
            elif part == ">" and self.tag:
                self.tag = 0
            elif self.tag:
                self.tag += count_characters(part)
            else:
                self.characters += count_characters(part)

    def sentence_text(self, end: int | None) -> str:
        """The current sentence's, up to `end`; None: as far as it goes."""
        assert self.sentence is not None
        if self.is_markup:
            return self.sentence.text
        return self.text.part(self.sentence.text_begin, end)


class DashScopeCodec:
    """The codec of one connection."""

    def __init__(self, text_timeout: float, new_id: Callable[[], str]) -> None:
        """text_timeout: seconds, for the message of a timeout. new_id: makes ids for requests."""
        self._text_timeout = text_timeout
        self._new_id = new_id
        self._tasks: dict[str, _Spoken] = {}  # by task_id

    def decode(self, data: bytes | str) -> TaskCommand:
        """Raises TTSError."""
        command = decode_command(data)
        if isinstance(command, RunTask):
            ssml = command.parameters.enable_ssml
            spoken = _Spoken(None, BreakScanner()) if ssml else _Spoken(False)
            self._tasks = {command.task_id: spoken}  # one at a time
        elif (known := self._tasks.get(command.task_id)) is None:
            return command
        else:
            spoken = known
        match command:
            case CancelTask():
                return command
            case FinishTask():
                text = spoken.take(command.text, last=True)
            case _:
                text = spoken.take(command.text, flush=command.flush)
        return command if text == command.text else replace(command, text=text)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return (event_frame(event.task_id, "task-started", {}),)
            case ResultGenerated():
                return tuple(
                    self._result(event, self._tasks.setdefault(event.task_id, _Spoken(False)))
                )
            case TaskFinished():
                return tuple(self._finished(event, self._tasks.pop(event.task_id, _Spoken(False))))
            case TaskFailed():
                self._tasks.pop(event.task_id, None)
                return (self._failed(event),)

    def _result(self, event: ResultGenerated, spoken: _Spoken) -> list[Frame]:
        frames: list[Frame] = []
        begun = list(event.sentences)
        if spoken.sentence is None and not begun:
            begun = [Sentence(0, 0, len(spoken.text), spoken.text.part(0))]
        words = list(event.words)
        for sentence in begun:
            while words and words[0].text_begin < sentence.text_begin:
                spoken.words.append(words.pop(0))
            frames += self._sentence_ends(event.task_id, spoken, sentence.text_begin)
            spoken.sentence = sentence
            frames.append(
                self._output(event.task_id, spoken, "sentence-begin", original_text=sentence.text)
            )
        spoken.words += words
        marks = spoken_output(marks=event.marks)
        announced = self._output(event.task_id, spoken, "sentence-synthesis", **marks)
        frames.append(Frame(announced.text, event.data))
        return frames

    def _sentence_ends(self, task_id: str, spoken: _Spoken, end: int | None) -> list[Frame]:
        if spoken.sentence is None:
            return []
        text, first = spoken.sentence_text(end), spoken.sentence.text_begin
        words = [_word(word, first) for word in spoken.words]
        frame = self._output(task_id, spoken, "sentence-end", words, original_text=text)
        spoken.sentence, spoken.words = None, []
        return [frame]

    def _output(
        self,
        task_id: str,
        spoken: _Spoken,
        kind: _Kind,
        words: list[JsonObject] | None = None,
        **more: object,
    ) -> Frame:
        index = 0 if spoken.sentence is None else spoken.sentence.number
        output = {"type": kind, "sentence": {"index": index, "words": words or []}, **more}
        payload = {"output": output, "usage": {"characters": spoken.characters}}
        return event_frame(task_id, "result-generated", payload)

    def _finished(self, event: TaskFinished, spoken: _Spoken) -> list[Frame]:
        whole = event.finish_reason == "stop"
        frames = self._sentence_ends(event.task_id, spoken, None) if whole else []
        output = {"sentence": {"words": []}, **spoken_output(notices=event.notices)}
        payload = {
            "output": output,
            "usage": {"characters": spoken.characters},
        }
        frames.append(
            event_frame(
                event.task_id, "task-finished", payload, attributes={"request_uuid": self._new_id()}
            )
        )
        return frames

    def _failed(self, event: TaskFailed) -> Frame:
        message = event.error_message
        if event.error_code == "TaskTimeout":
            message = f"request timeout after {self._text_timeout:g} seconds."
        elif event.error_code == "ReferenceAudioNotFound":
            message = f"{WHERE}.voice: {message}"
        error = error_fields(ERROR_CODES.get(event.error_code, event.error_code), message)
        return event_frame(event.task_id, "task-failed", {}, error)


def _word(word: Word, sentence_begin: int) -> JsonObject:
    """Indices count within the sentence."""
    return {
        "text": word.text,
        "begin_index": word.text_begin - sentence_begin,
        "end_index": word.text_end - sentence_begin,
        "begin_time": milliseconds(word.begin),
        "end_time": milliseconds(word.end),
    }
