"""What FFmpeg's encoders need around them."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator


class Sink:
    """The muxer's output, taken as it comes. It has no `seek`, so the muxer rewrites nothing."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


@contextlib.contextmanager
def on_one_cpu() -> Iterator[None]:
    """Restrict this thread to one processor.

    PyAV's `encode` cuts frames with a filter graph that it builds at the first call. FFmpeg gives the
    graph as many threads as the calling thread has processors, up to 16 per stream, which never do
    anything; no option prevents that.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then there are idle threads
        os.sched_setaffinity(0, {random.choice(list(allowed))})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, allowed)
