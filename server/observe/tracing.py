"""Traces of tasks: what the server tells of a task to whoever follows it across services.

Without the setting nothing of OpenTelemetry is imported, and `Untraced` stands where a trace would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from cosyserve.engine.interface import Work
from cosyserve.protocol.messages import TaskMetrics, TraceContext
from cosyserve.protocol.parameters import SpeechParameters

from .metrics import Outcome

Stage = Literal["admission", "voice", "queue", "text", "first_sound", "speech"]
"""What a task does, in this order: it takes its place, finds its voice, waits for its turn, waits for text if
there is none yet, has its first sound made, and sends its sound to the last."""

LONGEST_PARENT: Final = 128
LONGEST_STATE: Final = 512
"""Characters; a longer list may be left out (W3C Trace Context, section 3.3.1.5)."""


class TaskTrace(Protocol):
    """One task's. trace_id: 32 hexadecimal digits, "" without a trace."""

    @property
    def trace_id(self) -> str: ...

    def stage(self, stage: Stage) -> None:
        """The task goes on to this stage; it is not in the one before any more."""

    def chunk(self, work: Work, encode_time: float) -> None:
        """Take note of what a chunk cost; encode_time: seconds."""

    def sent(self, seconds: float) -> None:
        """Take note of the time that it took to send something."""

    def ended(
        self, outcome: Outcome, code: str, totals: TaskMetrics | None, characters: int
    ) -> None:
        """The task is over. code: of the error that ended it. To be called once."""


class Tracing(Protocol):
    """Makes a trace for each task."""

    def task(
        self,
        transport: str,
        parameters: SpeechParameters,
        caller: str,
        task_id: str,
        parent: TraceContext | None,
    ) -> TaskTrace:
        """For a task that begins now. parent: the client's own, if it told."""

    async def close(self) -> None:
        """Send what is left, for a moment."""


class Untraced:
    """No tracing, and no trace."""

    trace_id: Final = ""

    def task(
        self,
        transport: str,
        parameters: SpeechParameters,
        caller: str,
        task_id: str,
        parent: TraceContext | None,
    ) -> TaskTrace:
        return self

    async def close(self) -> None:
        pass

    def stage(self, stage: Stage) -> None:
        pass

    def chunk(self, work: Work, encode_time: float) -> None:
        pass

    def sent(self, seconds: float) -> None:
        pass

    def ended(
        self, outcome: Outcome, code: str, totals: TaskMetrics | None, characters: int
    ) -> None:
        pass


def parent_of(values_of: Callable[[str], Sequence[str]]) -> TraceContext | None:
    """The trace that a request's headers name; `values_of` gives all values of a header."""
    parents = values_of("traceparent")
    if len(parents) != 1 or len(parents[0]) > LONGEST_PARENT:
        return None
    state = ",".join(values_of("tracestate"))
    return TraceContext(parents[0], state if len(state) <= LONGEST_STATE else "")
