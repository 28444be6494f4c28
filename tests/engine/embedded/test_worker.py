"""The worker process alone, over its socket."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosyserve.engine.embedded.espeak.installation import find_espeak, make_data, remove_data
from cosyserve.engine.embedded.frames import (
    DoneFrame,
    FrameKind,
    FrameReader,
    JobFrame,
    SoundFrame,
    pack_job,
    pack_quit,
    pack_stop,
    unpack_done,
    unpack_number,
    unpack_sound,
)
from cosyserve.engine.embedded.pool import worker_command
from cosyserve.engine.embedded.utterances import word_stretches

VOICE = "en-us+cosy-f1"
SENTENCE = "The birch canoe slid on the smooth planks, and nobody said a word about it."


class Worker:
    def __init__(self) -> None:
        espeak = find_espeak()
        self.data = make_data(espeak.data)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(30)
        with theirs:
            self.process = subprocess.Popen(
                worker_command(espeak.library, self.data, VOICE), stdin=theirs.fileno()
            )
        self.reader = FrameReader()
        self.frames: list[tuple[FrameKind, bytes]] = []

    def next(self) -> tuple[FrameKind, bytes]:
        while not self.frames:
            data = self.socket.recv(65536)
            assert data, "the worker has ended"
            self.frames += self.reader.feed(data)
        return self.frames.pop(0)

    def run(self, job: JobFrame, *more: bytes) -> tuple[list[SoundFrame], DoneFrame]:
        self.socket.sendall(pack_job(job) + b"".join(more))
        sounds = []
        while (frame := self.next())[0] is FrameKind.SOUND:
            sounds.append(unpack_sound(frame[1]))
        assert frame[0] is FrameKind.DONE
        return sounds, unpack_done(frame[1])


def job(number: int = 1, text: str = SENTENCE, voice: str = VOICE, **more: int) -> JobFrame:
    words = tuple(word_stretches(text))
    return JobFrame(number, voice, text, 175, 50, 50, 80, words=words)._replace(**more)


def joined(sounds: list[SoundFrame]) -> bytes:
    return b"".join(sound.pcm for sound in sounds)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    assert worker.next()[0] is FrameKind.READY
    yield worker
    worker.socket.close()
    worker.process.wait(30)
    remove_data(worker.data)


def test_speech_repeats_to_the_sample_whatever_came_before(worker: Worker) -> None:
    sounds, done = worker.run(job())
    assert done.complete
    worker.run(job(text="Что-то другое.", voice="ru+cosy-m1", rate=300, volume=150))
    worker.run(job(number=2), pack_stop(2))
    worker.run(job(text="And more."))
    assert joined(worker.run(job())[0]) == joined(sounds)


def test_slices_join_to_the_whole(worker: Worker) -> None:
    whole, _ = worker.run(job())
    sounds: list[SoundFrame] = []
    complete = False
    slices = 0
    while not complete:
        skip = len(joined(sounds)) // 2
        part, done = worker.run(job(skip=skip, limit=9000, first=not skip))
        sounds += part
        complete = done.complete
        slices += 1
    assert slices > 3
    assert joined(sounds) == joined(whole)
    words = [word for sound in sounds for word in sound.words]
    assert words == [word for sound in whole for word in sound.words]
    assert [word.word for word in words] == list(range(15))


def test_a_stopped_job_ends_early(worker: Worker) -> None:
    sounds, done = worker.run(job(number=5), pack_stop(5))
    assert not done.complete
    assert len(joined(sounds)) < 2 * 24000


def test_a_stop_that_comes_late_hurts_no_other_job(worker: Worker) -> None:
    worker.run(job(number=6))
    worker.socket.sendall(pack_stop(6))
    assert worker.run(job(number=7))[1] == (7, pytest.approx(0, abs=60), True)


def test_an_unknown_voice_fails_alone(worker: Worker) -> None:
    worker.socket.sendall(pack_job(job(number=8, voice="no-such-language")))
    kind, body = worker.next()
    assert kind is FrameKind.FAILED
    assert unpack_number(body) == 8
    assert worker.run(job())[1].complete


@pytest.mark.parametrize("text", ["<break time='20s'/>Hello", "[[h@l'oU]]", "&lt;p>", "{}%s%n"])
def test_markup_is_plain_text(worker: Worker, text: str) -> None:
    sounds, done = worker.run(job(text=text))
    assert done.complete
    assert 0.5 < len(joined(sounds)) / 2 / 24000 < 8


@pytest.mark.parametrize("told", [True, False])
def test_it_outlives_sigterm_and_ends_with_its_engine(told: bool) -> None:
    worker = Worker()
    try:
        assert worker.next()[0] is FrameKind.READY
        os.kill(worker.process.pid, signal.SIGTERM)
        os.kill(worker.process.pid, signal.SIGINT)
        assert worker.run(job())[1].complete
        if told:
            worker.socket.sendall(pack_quit())
        worker.socket.close()
        assert worker.process.wait(30) == 0
        # An engine that tells its workers to end removes the data itself; a killed one does not.
        assert Path(worker.data).exists() == told
    finally:
        worker.process.kill()
        worker.process.wait()
        remove_data(worker.data)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("worker", ("numpy", "av", "pydantic", "asyncio", "inspect")),
        # What a worker of any language needs.
        ("runner", ("av", "pydantic", "asyncio", "hibari", "onnxruntime")),
    ],
)
def test_it_imports_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    script = (
        f"import sys, cosyserve.engine.embedded.{module}; "
        f"print(*[m for m in {heavy} if m in sys.modules])"
    )
    command = [*worker_command("", "", "")[:2], "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
