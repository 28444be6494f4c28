"""The codec of `/v1/audio/speech/stream`.

A connection is configured once or several times, and speaks one utterance after another: `input.text` begins
one or goes on with it, `input.done` ends its text. An utterance is a task, and one "sentence" to the client:
it is spoken while its text still comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
import pybase64

from ..codec import Frame
from ..errors import InvalidState, TTSError
from ..fields import JsonObject, json_object, refusal, required
from ..messages import (
    Command,
    ContinueTask,
    EndSession,
    Event,
    FinishTask,
    Reply,
    ResultGenerated,
    RunTask,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Word,
)
from ..parameters import AudioFormat, SpeechParameters
from ..surrogates import join
from .parameters import SessionConfig, parse_config

TYPES: Final = ("session.config", "input.text", "input.done", "session.close")
LONGEST_SHOWN: Final = 20_000
"""Characters of an utterance's text that `audio.start` repeats: what is over the limits is not kept."""
_TEXT_PATH: Final = ("text",)
_CHANNELS: Final = 1


@dataclass(slots=True)
class _Utterance:
    """An utterance whose last event is still to come.

    text: the first of the pieces that came, until the sound begins. room: for characters
    of it. sent: bytes of sound. chunks: how many.
    spoken: seconds of sound. words: those that were heard, with their times.
    """

    index: int
    speech: SpeechParameters
    text: list[str] | None = field(default_factory=list)
    room: int = LONGEST_SHOWN
    sent: int = 0
    chunks: int = 0
    spoken: float = 0.0
    words: list[Word] = field(default_factory=list)

    @property
    def timed(self) -> bool:
        return self.speech.word_timestamp_enabled

    def note(self, text: str) -> None:
        """Take the next piece of text."""
        if self.text is not None and (shown := text[: self.room]):
            self.text.append(shown)
            self.room -= len(shown)

    def place(self) -> JsonObject:
        return {"utterance_index": self.index, "sentence_index": 0}


class VllmOmniCodec:
    """The codec of one connection."""

    def __init__(self) -> None:
        self._config: SessionConfig | None = None
        self._index = 0  # of the utterance whose text comes, or that comes next
        self._open = False  # whether the text of that one has begun
        self._over = False  # the client closed, or its first message was no configuration
        self._utterances: dict[str, _Utterance] = {}  # by task_id

    def decode(self, data: bytes | str) -> Command | None:
        """Raises TTSError. If the first message is refused, the next one ends the connection."""
        fields = json_object(data, _TEXT_PATH)
        if self._over:
            return EndSession()
        try:
            return self._read(fields)
        except TTSError:
            self._over = self._config is None
            raise

    def _read(self, fields: JsonObject) -> Command | None:
        kind = required(fields, "type", str)
        if kind not in TYPES:
            raise refusal("type", kind, ", ".join(TYPES))
        if kind == "session.close":
            self._over = True
            return EndSession()
        if kind == "session.config":
            self._configure(fields)
            return None
        if self._config is None:
            raise InvalidState(f"{kind}: the connection is not configured; session.config is first")
        if kind == "input.text":
            return self._text(required(fields, "text", str), self._config)
        return self._done()

    def _configure(self, fields: JsonObject) -> None:
        if self._open:
            raise InvalidState("session.config: an utterance is in progress; input.done ends it")
        self._config = parse_config(fields)

    def _text(self, text: str, config: SessionConfig) -> Command | None:
        task_id = f"utterance-{self._index}"
        if self._open:
            if utterance := self._utterances.get(task_id):  # else it has failed
                utterance.note(text)
            return ContinueTask(task_id, text)
        if not text:
            return None
        self._open = True
        utterance = self._utterances[task_id] = _Utterance(self._index, config.speech)
        utterance.note(text)
        return RunTask(task_id, config.model, config.speech, text)

    def _done(self) -> Command:
        index, spoken = self._index, self._open
        self._index, self._open = index + 1, False
        if spoken:
            return FinishTask(f"utterance-{index}")
        return Reply(orjson.dumps(_session_done(index, 0)))

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return ()
            case ResultGenerated():
                return tuple(self._sound(self._utterances[event.task_id], event))
            case TaskFinished():
                utterance = self._utterances.pop(event.task_id)
                return (*_timed_words(utterance), *_end(utterance, failed=False))
            case TaskFailed():
                return self._failed(event)

    def _sound(self, utterance: _Utterance, event: ResultGenerated) -> list[Frame]:
        frames = _start(utterance)
        begin = utterance.spoken
        utterance.spoken = event.begin + event.metrics.speech_len
        utterance.sent += len(event.data)
        if utterance.timed:
            utterance.words += event.words
            frames.append(_chunk(utterance, event.data, begin, None))
        else:
            frames.append(Frame(b"", event.data))
        return frames

    def _failed(self, event: TaskFailed) -> tuple[Frame, ...]:
        """The error, and the end of the utterance that it is about."""
        error: JsonObject = {
            "type": "error",
            "message": event.error_message,
            "code": event.error_code,
        }
        utterance = self._utterances.pop(event.task_id, None)
        if utterance is None:
            return (_frame(error),)
        if utterance.sent:
            error |= {"partial_audio": True, "action": "discard"}
        return (*_start(utterance), _frame(error), *_end(utterance, failed=True))


def _start(utterance: _Utterance) -> list[Frame]:
    """The event before the first sound; none later."""
    if utterance.text is None:
        return []
    (text, _half), utterance.text = join("", "".join(utterance.text)), None
    speech = utterance.speech
    message = {
        "type": "audio.start",
        **utterance.place(),
        "sentence_text": text,
        "format": speech.output_format.value,
    }
    if speech.output_format is AudioFormat.PCM:
        message |= {"sample_rate": speech.sample_rate, "channels": _CHANNELS}
    if utterance.timed:
        message["word_timestamps"] = True
    return [_frame(message)]


def _chunk(
    utterance: _Utterance, sound: bytes, begin: float, words: Sequence[Word] | None
) -> Frame:
    number, utterance.chunks = utterance.chunks, utterance.chunks + 1
    return _frame(
        {
            "type": "audio.chunk",
            **utterance.place(),
            "chunk_id": number,
            "chunk_start_ms": round(begin * 1000),
            "chunk_end_ms": round(utterance.spoken * 1000),
            "sample_rate": utterance.speech.sample_rate,
            "channels": _CHANNELS,
            "audio_b64": pybase64.b64encode_as_string(sound),
            "timestamps": words and [*map(_times, words)],
        }
    )


def _times(word: Word) -> JsonObject:
    begin, end = (round(seconds * 1000) for seconds in (word.begin, word.end))
    return {"word": word.text, "start_ms": begin, "end_ms": end}


def _timed_words(utterance: _Utterance) -> list[Frame]:
    """The last chunk, without sound, has the words of all; null if the engine knows none."""
    if not utterance.timed:
        return []
    return [*_start(utterance), _chunk(utterance, b"", 0.0, utterance.words or None)]


def _end(utterance: _Utterance, *, failed: bool) -> list[Frame]:
    done = {
        "type": "audio.done",
        **utterance.place(),
        "total_bytes": utterance.sent,
        "error": failed,
    }
    return [*_start(utterance), _frame(done), _frame(_session_done(utterance.index, 1))]


def _session_done(index: int, sentences: int) -> JsonObject:
    return {"type": "session.done", "utterance_index": index, "total_sentences": sentences}


def _frame(message: JsonObject) -> Frame:
    return Frame(orjson.dumps(message))
