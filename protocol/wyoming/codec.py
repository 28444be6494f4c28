"""The codec of a Wyoming connection: `describe`, `synthesize`, and text that is spoken as it comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Eventable
from wyoming.ping import Pong
from wyoming.tts import SynthesizeStopped
from wyoming.version import __version__

from ..codec import Frame
from ..errors import InvalidState
from ..fields import JsonObject, json_object, optional, refusal, required
from ..messages import (
    Command,
    ContinueTask,
    Event,
    FinishTask,
    Reply,
    ResultGenerated,
    RunTask,
    Several,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from ..openai import LONGEST_VOICE
from ..parameters import AudioFormat, Mode, SpeechParameters

SAMPLE_RATE: Final = 24000
_FORM: Final = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}


def event_frame(event: Eventable) -> Frame:
    """The bytes of an event: its line and its data, and its payload as attachment."""
    whole = event.event()
    data = orjson.dumps(whole.data) if whole.data else b""
    head: JsonObject = {"type": whole.type, "version": __version__}
    if data:
        head["data_length"] = len(data)
    if whole.payload:
        head["payload_length"] = len(whole.payload)
    return Frame(orjson.dumps(head) + b"\n" + data, whole.payload)


class WyomingCodec:
    """The codec of one connection. What it decodes is as EventReader has it."""

    def __init__(self, describe: Callable[[], Awaitable[bytes]], default_voice: str | None) -> None:
        """describe: makes the answer to `describe`. default_voice: speaks where a client names none."""
        self._describe = describe
        self._default_voice = default_voice
        self._count = 0  # of the speeches so far
        self._open: str | None = None  # the speech whose text comes
        self._streamed: set[str] = (
            set()
        )  # speeches whose text came in pieces, and that have not ended
        self._seconds: dict[str, float] = {}  # of sound so far, by task_id

    def decode(self, data: bytes | str) -> Command | None:
        """Events that are not for speech are ignored. Raises TTSError."""
        text = data if isinstance(data, str) else data.decode(errors="replace")
        line, _, more = text.partition("\n")
        fields = json_object(line, ("data", "text"))
        given = optional(fields, "data", dict) or {}
        if more:
            given |= json_object(more, ("text",))
        match required(fields, "type", str):
            case "describe":
                return Reply(self._describe, at_once=True)
            case "ping":
                pong = Pong(optional(given, "text", str, "data"))
                return Reply(event_frame(pong).text, at_once=True)
            case "synthesize":
                return self._synthesize(given)
            case "synthesize-start":
                return self._start(given)
            case "synthesize-chunk" if self._open is not None:
                return ContinueTask(self._open, required(given, "text", str, "data"))
            case "synthesize-stop" if self._open is not None:
                ended, self._open = FinishTask(self._open), None
                return ended
            case _:
                return None

    def _synthesize(self, given: JsonObject) -> Command | None:
        """A whole text; within one that comes in pieces it is that text once more, for older servers."""
        text = required(given, "text", str, "data")
        if self._open is not None:
            return None
        run = self._run(given, text)
        return Several((run, FinishTask(run.task_id)))

    def _start(self, given: JsonObject) -> Command:
        if self._open is not None:
            raise InvalidState("synthesize-start: a text is coming; synthesize-stop ends it")
        run = self._run(given, "")
        self._open = run.task_id
        self._streamed.add(run.task_id)
        return run

    def _run(self, given: JsonObject, text: str) -> RunTask:
        parameters = self._parameters(given)
        self._count += 1
        task_id = f"speech-{self._count}"
        self._seconds[task_id] = 0.0
        return RunTask(task_id, "", parameters, text)

    def _parameters(self, given: JsonObject) -> SpeechParameters:
        asked = optional(given, "voice", dict, "data") or {}
        voice = optional(asked, "name", str, "data.voice") or self._default_voice
        if voice is None or len(voice) > LONGEST_VOICE:
            allowed = f"an id or a name of 1 to {LONGEST_VOICE} characters"
            raise refusal("data.voice.name", voice, allowed)
        return SpeechParameters(
            mode=Mode.FAST,
            reference_audio_id=voice,
            output_format=AudioFormat.PCM,
            sample_rate=SAMPLE_RATE,
            audio_transport="binary",
            enable_ssml=optional(given, "text_format", str, "data") == "ssml",
        )

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return (event_frame(AudioStart(**_FORM, timestamp=0)),)
            case ResultGenerated():
                begin = round(event.begin * 1000)
                self._seconds[event.task_id] = event.begin + event.metrics.speech_len
                return (event_frame(AudioChunk(**_FORM, audio=event.data, timestamp=begin)),)
            case TaskFinished():
                end = round(self._seconds.pop(event.task_id, 0.0) * 1000)
                stop = event_frame(AudioStop(timestamp=end))
                if event.task_id not in self._streamed:
                    return (stop,)
                self._streamed.discard(event.task_id)
                return stop, event_frame(SynthesizeStopped())
            case TaskFailed():
                self._seconds.pop(event.task_id, None)
                self._streamed.discard(event.task_id)
                return (event_frame(Error(event.error_message, event.error_code)),)
