"""A server of one's own for the length of a benchmark: a child process, its CPU time and its memory.

The server may be that of another checkout, so that two versions can be compared in one run.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

_ANNOUNCEMENT: Final = "listening on "
_STOP_TIMEOUT: Final = 15.0
_START_TIMEOUT: Final = 60.0


class ServerDidNotStart(Exception):
    """The message holds the end of the server's log."""


@dataclass(frozen=True, slots=True)
class LaunchedServer:
    """started_in: seconds from the start of the process to the announcement of its address.

    log: what it has written to its standard error so far.
    """

    url: str
    pid: int
    started_in: float
    log: Path

    @property
    def memory_kib(self) -> int:
        """KiB of resident memory, with the server's worker processes. Raises OSError."""
        return sum(map(resident_kib, (self.pid, *children(self.pid))))

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the server so far, all threads together, without its children. Raises OSError."""
        # The clock id of another process, as clock_getcpuclockid(3) computes it.
        return time.clock_gettime((~self.pid << 3) | 2)


@asynccontextmanager
async def launched_server(
    *flags: str, packages: Path | None = None, start_timeout: float = _START_TIMEOUT
) -> AsyncIterator[LaunchedServer]:
    """`cosyserve serve` on a free loopback port, with its references in a folder that goes with it.

    packages: a folder to import cosyserve from (see `importable`), in place of this process's own.
    COSYSERVE_* settings of the environment do not reach the server. Raises ServerDidNotStart.
    """
    command = ("-m", "cosyserve", "serve", *flags)
    async with _launched(command, {}, packages, start_timeout) as server:
        yield server


@asynccontextmanager
async def timed_server(
    *,
    chunks: int,
    chunk_seconds: float,
    interval: float,
    max_tasks: int,
    packages: Path | None = None,
) -> AsyncIterator[LaunchedServer]:
    """A server whose engine is a TimedEngine with these arguments; otherwise as `launched_server`."""
    script = str(Path(__file__).with_name("timed_server.py"))
    command = ("-P", script, str(chunks), str(chunk_seconds), str(interval))
    settings = {
        "COSYSERVE_LOG_LEVEL": "warning",
        "COSYSERVE_MAX_TASKS": str(max_tasks),
        "COSYSERVE_MAX_TASKS_PER_TOKEN": str(max_tasks),
    }
    async with _launched(command, settings, packages, _START_TIMEOUT) as server:
        yield server


@contextmanager
def importable(checkout: Path) -> Iterator[Path]:
    """A folder to import a checkout's packages from, in place of installed ones.

    Raises NotADirectoryError if `checkout` is not a checkout of cosyserve.
    """
    root = checkout / "src" / "cosyserve"
    if not root.is_dir():
        raise NotADirectoryError(f"{checkout} is not a checkout of cosyserve")
    with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
        package = Path(folder, "cosyserve")
        package.mkdir()
        # Older checkouts hold links to the packages in src; newer ones map them in setup.py.
        for source in (
            *root.iterdir(),
            *(found.parent for found in checkout.glob("*/__init__.py")),
        ):
            if not (package / source.name).exists():
                (package / source.name).symlink_to(source.resolve())
        yield Path(folder)


def resident_kib(pid: int) -> int:
    """KiB of resident memory of a process (Linux). Raises OSError if it has ended."""
    return _status_kib(pid, "VmRSS:")


def peak_kib(pid: int) -> int:
    """The most KiB of memory that a process ever had resident (Linux). Raises OSError if it has ended."""
    return _status_kib(pid, "VmHWM:")


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


def children(pid: int) -> list[int]:
    """The children of all threads of a process (Linux). Raises OSError if it has ended."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # this thread has just ended
            found += map(int, (thread / "children").read_text().split())
    return found


@asynccontextmanager
async def _launched(
    command: tuple[str, ...],
    settings: Mapping[str, str],
    packages: Path | None,
    start_timeout: float,
) -> AsyncIterator[LaunchedServer]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COSYSERVE_")
    }
    if packages is not None:
        # Compiled modules stay with the folder: a checkout that has some already starts no faster.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {
            "PYTHONPATH": str(packages),
            "PYTHONPYCACHEPREFIX": str(packages / "compiled"),
        }
    with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
        environment |= {
            "COSYSERVE_HOST": "127.0.0.1",
            "COSYSERVE_PORT": "0",
            "COSYSERVE_REFERENCES": str(Path(folder, "references")),
            **settings,
        }
        log = Path(folder, "log")
        with await asyncio.to_thread(log.open, "wb") as errors:
            began = perf_counter()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        assert process.stdout is not None
        draining: asyncio.Task[None] | None = None
        try:
            url = await _announced(process.stdout, log, start_timeout)
            started_in = perf_counter() - began
            # Nobody reads the rest, and a full pipe would stop the server.
            draining = asyncio.create_task(_drain(process.stdout))
            yield LaunchedServer(url, process.pid, started_in, log)
        finally:
            await _stop(process)
            if draining is not None:
                await draining


async def _announced(output: asyncio.StreamReader, log: Path, start_timeout: float) -> str:
    try:
        async with asyncio.timeout(start_timeout):
            async for line in output:
                _, found, url = line.decode("utf-8", "replace").strip().partition(_ANNOUNCEMENT)
                if found:
                    return url
    except TimeoutError:
        reason = f"the server announced no address within {start_timeout:g} s"
    else:
        reason = "the server ended before it announced its address"
    raise ServerDidNotStart(f"{reason}; the end of its log:\n{_tail(log)}")


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(65536):
        pass


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:]) or "(nothing)"
