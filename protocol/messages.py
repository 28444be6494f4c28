"""Every message of a task, one frozen type each, in the vocabulary of all dialects.

Commands come from the client, events go to it. A dialect's codec turns them from and into its frames.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .parameters import SpeechParameters

FinishReason = Literal["stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The trace that a client works in, as W3C Trace Context writes it; nothing of it is checked.

    parent, state: what HTTP has in the headers traceparent and tracestate.
    """

    parent: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class RunTask:
    """Start a task; `text` may already hold the first piece. flush: as in ContinueTask."""

    task_id: str
    model: str
    parameters: SpeechParameters
    text: str = ""
    flush: bool = False
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True)
class ContinueTask:
    """The next piece of the task's text; pieces are joined as they come.

    flush: a sentence ends here; speak the text received so far without waiting for more.
    """

    task_id: str
    text: str
    flush: bool = False


@dataclass(frozen=True, slots=True)
class FinishTask:
    """No more text after this; `text` may hold the last piece."""

    task_id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Stop at once; nothing more is sent for the task but task-finished.

    played: seconds of the task's sound that the listener has heard, if the client wants to know what part
    of the text they were.
    """

    task_id: str
    played: float | None = None


@dataclass(frozen=True, slots=True)
class EndSession:
    """No more commands come: finish every task, then close the connection. The native dialect has none.

    remainders: by task_id, the last piece of a text that was not whole before. farewell: a text frame to
    send between the last task's end and the close; b"" sends none.
    """

    remainders: Mapping[str, str] = field(default_factory=dict)
    farewell: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client sent is about no task: this text frame answers it.

    text: what makes the frame, where that takes more than the message. at_once: whatever runs; if not, once
    no task runs.
    """

    text: bytes | Callable[[], Awaitable[bytes]]
    at_once: bool = False


TaskCommand = RunTask | ContinueTask | FinishTask | CancelTask
SingleCommand = TaskCommand | EndSession | Reply


@dataclass(frozen=True, slots=True)
class Several:
    """One frame that asks for all of these, one after another; what fails leaves out those behind it."""

    commands: tuple[SingleCommand, ...]


Command = SingleCommand | Several


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word: seconds from the start of the task's speech, code points in the task's text."""

    text: str
    begin: float
    end: float
    text_begin: int
    text_end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of the task's text that is spoken in one go, in code points; number is from 0.

    text, text_end: as far as known when the sentence's sound begins.
    """

    number: int
    text_begin: int
    text_end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place in the speech: seconds from the start of the task's speech."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds of each stage in one chunk (0 where the engine lacks it), and its speech tokens."""

    queue_time: float = 0.0
    lm_time: float = 0.0
    flow_time: float = 0.0
    vocoder_time: float = 0.0
    encode_time: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChunkMetrics:
    """What one result-generated event cost; all in seconds.

    speech_len: speech that the event's bytes stand for, always > 0.
    server_cost_time: since the task's previous event; for the first one, since its first text.
    generate_time: model work in this chunk.
    stages: only with debug.
    """

    speech_len: float
    server_cost_time: float
    generate_time: float
    stages: StageTimes | None = None


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """Totals: seconds of speech, seconds from first text to first audio, real-time factor."""

    speech_len: float = 0.0
    first_package_time: float = 0.0
    rtf: float = 0.0


@dataclass(frozen=True, slots=True)
class EffectiveAudio:
    """The encoder's real settings, which may differ from those requested.

    bit_rate: as in the parameters ("160k"); None where lossless.
    """

    format: str
    sample_rate: int
    bit_rate: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """What the token of a task may still have today; None: any amount. resets_in: whole seconds."""

    characters: int | None
    seconds: float | None
    resets_in: int


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """quota: None if the task's token has none."""

    task_id: str
    quota: QuotaLeft | None = None


@dataclass(frozen=True, slots=True)
class ResultGenerated:
    """One chunk of encoded audio; with `binary`, its bytes follow in a frame of their own.

    begin: seconds of the task's speech before it. words, sentences: those that begin in it; marks: those
    that lie in it. Words are there only if they were asked for and the engine gives their times.
    """

    task_id: str
    audio_id: str
    data: bytes
    metrics: ChunkMetrics
    audio: EffectiveAudio | None = None
    binary: bool = False
    begin: float = 0.0
    words: tuple[Word, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """The part of a task's text that its listener has heard to its end: the first `text_end` code points.

    played: seconds of the task's sound. estimated: whether it ends with a sentence, whose time is known to
    a chunk; if not, it ends with a word.
    """

    played: float
    text_end: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """notices: a sentence for each part of the text that could not be spoken as asked.

    heard: if the task was cancelled with `played`. quota: as in TaskStarted.
    """

    task_id: str
    finish_reason: FinishReason = "stop"
    characters: int = 0
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    notices: tuple[str, ...] = ()
    heard: Heard | None = None
    quota: QuotaLeft | None = None


@dataclass(frozen=True, slots=True)
class TaskFailed:
    task_id: str
    error_code: str
    error_message: str


Event = TaskStarted | ResultGenerated | TaskFinished | TaskFailed
