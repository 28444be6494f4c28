"""What a task has cost so far, from given times; the clock is the caller's."""

from __future__ import annotations

from cosyserve.protocol.messages import ChunkMetrics, StageTimes, TaskMetrics
from cosyserve.protocol.text import count_characters

from .synthesis import SpokenChunk


class TaskAccount:
    """Sums of one task. `now` is always seconds of one monotonic clock."""

    def __init__(self, debug: bool) -> None:
        self._debug = debug
        self._first_text: float | None = None
        self._last_event: float | None = None
        self._first_package: float | None = None
        self.characters = 0
        self.speech_seconds = 0.0
        self.audio_bytes = 0

    def text(self, text: str, now: float) -> None:
        """A piece of text arrived."""
        self.characters += count_characters(text)
        if self._first_text is None and text:
            self._first_text = now

    def chunk(self, chunk: SpokenChunk, now: float) -> ChunkMetrics:
        """A chunk goes out; its metrics as the wire has them."""
        since = self._since(now)
        cost = max(0.0, now - (since if self._last_event is None else self._last_event))
        self._last_event = now
        if self._first_package is None:
            self._first_package = max(0.0, now - since)
        self.speech_seconds += chunk.seconds
        self.audio_bytes += len(chunk.data)
        stages = _stages(chunk) if self._debug else None
        return ChunkMetrics(chunk.seconds, cost, chunk.work.generate, stages)

    def totals(self, now: float) -> TaskMetrics:
        """The whole task: rtf is the seconds from the first text to the last event, per second of speech."""
        end = now if self._last_event is None else self._last_event
        spent = max(0.0, end - self._since(now))
        return TaskMetrics(
            speech_len=self.speech_seconds,
            first_package_time=self._first_package or 0.0,
            rtf=spent / self.speech_seconds if self.speech_seconds else 0.0,
        )

    @property
    def first_package_seconds(self) -> float | None:
        """From the first text to the first event; None while there is none."""
        return self._first_package

    def _since(self, now: float) -> float:
        # Silence for a task without text is made at finish-task: it waited for nothing.
        return now if self._first_text is None else self._first_text


def _stages(chunk: SpokenChunk) -> StageTimes:
    work = chunk.work
    return StageTimes(
        queue_time=work.queue,
        lm_time=work.lm,
        flow_time=work.flow,
        vocoder_time=work.vocoder,
        encode_time=chunk.encode_time,
        tokens=work.tokens,
    )
