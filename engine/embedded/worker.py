"""A worker process: jobs in, speech out, over the socket that is its standard input.

It exits when the socket closes, so it never outlives the engine, however the engine ends. What this
module imports delays the first sound after a start; a test keeps heavy modules out.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from ..origins import Origins
from .espeak import SAMPLE_RATE, Espeak, EspeakError, EspeakProsody, WordMark
from .frames import (
    DoneFrame,
    FrameKind,
    FrameReader,
    JobFrame,
    SoundFrame,
    pack_done,
    pack_failed,
    pack_ready,
    pack_sound,
    unpack_job,
    unpack_number,
)
from .sound import SoundCutter, TimedSound, WordClock, part_sizes

if TYPE_CHECKING:
    from .mandarin import Mandarin

_CHANNEL = 0
_MANDARIN = "cmn+"
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


class JobRunner:
    """Runs one job after another."""

    def __init__(self, socket: WorkerSocket, espeak: Espeak) -> None:
        self._socket = socket
        self._espeak = espeak
        self._mandarin: Mandarin | None = None
        self._since = 0.0

    def speak(self, job: JobFrame) -> None:
        self._since = perf_counter()
        if not self._espeak.set_voice(job.voice):
            self._socket.send(pack_failed(job.number))
            return
        text, origins = self._respelled(job)
        clock = WordClock(job.text, job.words)
        cutter = SoundCutter(clock, part_sizes(job.first), job.skip)
        stopped = False

        def take(pcm: bytes, marks: list[WordMark]) -> bool:
            nonlocal stopped
            if origins is not None:
                marks = [_moved(mark, origins) for mark in marks]
            parts = cutter.feed(pcm, marks)
            if parts:
                self._send(job.number, parts)
                full = job.limit and cutter.position >= job.skip + job.limit
                stopped = bool(full) or self._socket.stopped(job.number)
            return not stopped

        prosody = EspeakProsody(job.rate, job.pitch, job.pitch_range, job.volume)
        try:
            self._espeak.speak(text, prosody, job.seed, take, phonemes=job.phonemes)
        except EspeakError:
            self._socket.send(pack_failed(job.number))
            return
        if not stopped:
            self._send(job.number, cutter.finish())
        self._socket.send(pack_done(DoneFrame(job.number, self._lap(), not stopped)))

    def _respelled(self, job: JobFrame) -> tuple[str, Origins | None]:
        """The text for espeak, and the map from it to the job's text, None if they are the same."""
        if job.phonemes or job.text.isascii() or not job.voice.startswith(_MANDARIN):
            return job.text, None
        if self._mandarin is None:
            from .mandarin import (  # English need not wait for it
                Mandarin,
                load_phrases,
            )

            self._mandarin = Mandarin(self._espeak.phoneme_names, load_phrases())
        return self._mandarin.respelled(job.text)

    def _send(self, number: int, parts: list[TimedSound]) -> None:
        for part in parts:
            frame = SoundFrame(number, self._lap(), part.words, part.pcm)
            self._socket.send(pack_sound(frame))

    def _lap(self) -> float:
        """Seconds of work since the last frame of this job."""
        now = perf_counter()
        lap, self._since = now - self._since, now
        return lap


def _moved(mark: WordMark, origins: Origins) -> WordMark:
    at = min(max(0, mark.position), origins.length)
    return mark._replace(position=origins.source(at, min(at + 1, origins.length))[0])


def main(library: str, data: str, voice: str) -> None:
    # The engine decides when a worker ends: a Ctrl-C or a service manager's SIGTERM reaches the
    # whole process group, but running tasks are still to be spoken.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    socket = WorkerSocket(_CHANNEL)
    espeak = Espeak(library, data)
    espeak.set_voice(voice)  # the first use of a language reads its dictionary: 10 ms and more
    try:
        socket.send(pack_ready(SAMPLE_RATE))
        runner = JobRunner(socket, espeak)
        while (job := socket.next_job()) is not None:
            signal.alarm(_LONGEST_JOB)
            runner.speak(job)
            signal.alarm(0)
    except (EOFError, ConnectionError):  # the engine was killed and cannot tidy up itself
        from .installation import remove_data  # takes 10 ms that the start can do without

        remove_data(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
