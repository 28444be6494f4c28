"""One line on a terminal that says how a speech goes."""

from __future__ import annotations

from typing import TextIO

from .speech import SpeechMetrics


def summary(metrics: SpeechMetrics) -> str:
    """Seconds of speech, the first package's delay, the real-time factor, as far as known."""
    parts = [f"{metrics.speech_len:.1f} s of speech"]
    if metrics.first_package is not None:
        parts.append(f"first package {metrics.first_package * 1000:.0f} ms")
    if metrics.real_time_factor is not None:
        parts.append(f"real-time factor {metrics.real_time_factor:.2f}")
    return ", ".join(parts)


class Progress:
    """Rewrites its line in place; silent where the stream is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()

    def update(self, metrics: SpeechMetrics) -> None:
        if self._shown:
            self._stream.write(f"\r\x1b[K{summary(metrics)}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the last line standing."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
