"""One worker process as the engine sees it: a socket that takes jobs and gives speech."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from .frames import DoneFrame, FrameReader, JobFrame, Kind, SoundFrame, pack_job, pack_quit, pack_stop, unpack_done, unpack_number, unpack_sound

_MODULE = f"{__package__}.worker"


@dataclass(frozen=True, slots=True)
class Library:
    """Where espeak-ng's shared library and its data lie."""

    path: str
    data: str


class LibraryMissing(Exception):
    """espeak-ng is not installed; the message says how to get it."""


def find_library() -> Library:
    """Find espeak-ng without loading it. Raises LibraryMissing."""
    hint = (
        "the embedded voice needs espeak-ng, which is not installed; allowed: with it "
        "(pip install 'cosyserve[embedded]'), or CosyVoice 2 with a model"
    )
    if importlib.util.find_spec("espeakng_loader") is None:
        raise LibraryMissing(hint)
    import espeakng_loader

    try:
        library = Library(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    except RuntimeError as error:
        raise LibraryMissing(hint) from error
    if not all(Path(part).exists() for part in (library.path, f"{library.data}/phontab")):
        raise LibraryMissing(hint)
    return library


def worker_command(library: str, data: str, voice: str) -> tuple[str, ...]:
    """How to start a worker. data: what definitions.make_data made. voice: the one to have ready."""
    # -P: a worker must import nothing from whatever directory the server was started in.
    return (sys.executable, "-P", "-m", _MODULE, library, data, voice)


class WorkerEvents(Protocol):
    """What a worker tells its pool."""

    def worker_started(self, worker: WorkerProcess) -> None:
        """The process runs; it takes no jobs before `worker_ready`."""

    def worker_ready(self, worker: WorkerProcess) -> None: ...

    def worker_sound(self, worker: WorkerProcess, sound: SoundFrame) -> None: ...

    def worker_done(self, worker: WorkerProcess, done: DoneFrame) -> None: ...

    def worker_failed(self, worker: WorkerProcess, number: int) -> None: ...

    def worker_lost(self, worker: WorkerProcess) -> None: ...


class WorkerProcess(asyncio.Protocol):
    """Start with `spawn`. After `worker_lost` nothing more comes, and the process is being reaped.

    Speech is taken off the socket as it comes, so a worker never waits for a reader; what a job can
    yield is bounded by the length of its text.
    """

    def __init__(self, events: WorkerEvents, process: subprocess.Popen[bytes]) -> None:
        self._events = events
        self._process = process
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None
        self.reaped: asyncio.Future[int] | None = None

    @classmethod
    async def spawn(cls, command: Sequence[str], events: WorkerEvents) -> WorkerProcess:
        """Start a process. Raises OSError. Cancelled half-way it leaves none behind."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _popen(command, theirs)
        except OSError:
            ours.close()
            raise
        worker = cls(events, process)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, job: JobFrame) -> None:
        """Send a job to a worker that is ready and idle."""
        self._write(pack_job(job))

    def stop_job(self, number: int) -> None:
        """Ask to end the job early; it still tells `worker_done`."""
        self._write(pack_stop(number))

    def close(self) -> None:
        """Let the process end by itself; one that is at work does when it notices the closed socket."""
        self._write(pack_quit())
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        self._process.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass of it
        self._events.worker_started(self)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, body in self._reader.feed(data):
                self._handle(kind, body)
        except ValueError:  # garbage: whatever this process is, it is no use any more
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        loop = asyncio.get_running_loop()
        self.reaped = loop.run_in_executor(None, _reap, self._process)
        self._events.worker_lost(self)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _handle(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.SOUND:
                self._events.worker_sound(self, unpack_sound(body))
            case Kind.DONE:
                self._events.worker_done(self, unpack_done(body))
            case Kind.READY:
                self._events.worker_ready(self)
            case Kind.FAILED:
                self._events.worker_failed(self, unpack_number(body))
            case Kind.JOB | Kind.STOP | Kind.QUIT:
                raise ValueError("a worker sent what only the engine sends")


def _popen(command: Sequence[str], channel: socket.socket) -> subprocess.Popen[bytes]:
    # Python starts it with vfork: the event loop is held up for about a millisecond.
    return subprocess.Popen(
        command,
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,  # espeak-ng prints complaints to both
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process whose socket is closed; one that does not end soon is killed."""
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
