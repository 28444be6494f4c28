"""A worker process: jobs in, speech out, over the socket that is its standard input.

It exits when the socket closes, so it never outlives the engine, however the engine ends. It imports
the synthesisers when the signals are set, and each of them only if it is needed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque

from .frames import (
    SAMPLE_RATE,
    FrameKind,
    FrameReader,
    JobFrame,
    pack_ready,
    unpack_job,
    unpack_number,
)

_CHANNEL = 0
_LONGEST_JOB = 60
"""Seconds. The engine kills a worker that hangs much sooner; this covers a hang after the engine's death."""
_READ_SIZE = 65536


class WorkerSocket:
    """The worker's end of the socket. Raises EOFError when the engine has closed its end."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._reader = FrameReader()
        self._frames: deque[tuple[FrameKind, bytes]] = deque()

    def next_job(self) -> JobFrame | None:
        """Wait for a job, None if the worker is to end. Stops of jobs that have ended are ignored."""
        while True:
            while self._frames:
                kind, body = self._frames.popleft()
                if kind is FrameKind.JOB:
                    return unpack_job(body)
                if kind is FrameKind.QUIT:
                    return None
            self._read()

    def stopped(self, number: int) -> bool:
        """Whether the engine has stopped this job. Does not wait."""
        while select.select([self._channel], [], [], 0)[0]:
            self._read()
        return any(
            kind is FrameKind.STOP and unpack_number(body) == number for kind, body in self._frames
        )

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._channel, view) :]

    def _read(self) -> None:
        data = os.read(self._channel, _READ_SIZE)
        if not data:
            raise EOFError
        self._frames.extend(self._reader.feed(data))


def main(library: str, data: str, voice: str, natural: str) -> None:
    """Serve jobs until the engine ends. Arguments: see pool.worker_command.

    natural: anything to load the natural voice before the first job, "" to leave it until it is needed.
    """
    # The engine decides when a worker ends: a Ctrl-C or a service manager's SIGTERM reaches the
    # whole process group, but running tasks are still to be spoken.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.putenv("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported: a worker has one core
    from .espeak.library import Espeak
    from .runner import JobRunner

    socket = WorkerSocket(_CHANNEL)
    espeak = Espeak(library, data)
    espeak.set_voice(voice)  # the first use of a language reads its dictionary: 10 ms and more
    runner = JobRunner(socket, espeak)
    if natural:
        runner.load_natural()
    try:
        socket.send(pack_ready(SAMPLE_RATE))
        while (job := socket.next_job()) is not None:
            signal.alarm(_LONGEST_JOB)
            runner.speak(job)
            signal.alarm(0)
    except (EOFError, ConnectionError):  # the engine was killed and cannot tidy up itself
        from .espeak.installation import remove_data  # takes 10 ms that the start can do without

        remove_data(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
