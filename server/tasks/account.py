"""What a task has cost so far; the caller gives the times."""

from __future__ import annotations

from cosyserve.protocol.messages import ChunkMetrics, StageTimes, TaskMetrics

from .synthesis import SpokenChunk


class TaskAccount:
    """The sums of one task. `now` is always seconds of one monotonic clock.

    characters: of the text, as usage counts them. speech_seconds: of the chunks that went out.
    """

    def __init__(self, debug: bool) -> None:
        """debug: whether chunks report the times of each stage."""
        self._debug = debug
        self._first_text: float | None = None  # when the first text came that is not empty
        self._last_chunk: float | None = None  # when the last chunk went out
        self._first_package = 0.0  # seconds from the first text to the first chunk
        self.characters = 0
        self.speech_seconds = 0.0

    def text(self, characters: int, now: float) -> None:
        """Add a piece of text that came, with so many characters as usage counts them."""
        self.characters += characters
        if self._first_text is None and characters:
            self._first_text = now

    def chunk(self, chunk: SpokenChunk, now: float) -> ChunkMetrics:
        """Add a chunk that goes out; returns its metrics as the wire has them."""
        last = self._last_chunk
        cost = max(0.0, now - (self._since(now) if last is None else last))
        if last is None:
            self._first_package = cost
        self._last_chunk = now
        self.speech_seconds += chunk.seconds
        stages = _stages(chunk) if self._debug else None
        return ChunkMetrics(chunk.seconds, cost, chunk.work.generate, stages)

    def totals(self, now: float) -> TaskMetrics:
        """The whole task; rtf: seconds from the first text to the last chunk, per second of speech."""
        end = now if self._last_chunk is None else self._last_chunk
        spent = max(0.0, end - self._since(now))
        return TaskMetrics(
            speech_len=self.speech_seconds,
            first_package_time=self._first_package,
            rtf=spent / self.speech_seconds if self.speech_seconds else 0.0,
        )

    def _since(self, now: float) -> float:
        # The silence of a task without text is made at its finish-task, and had nothing to wait for.
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
