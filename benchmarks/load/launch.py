"""A server of one's own for the length of a benchmark: `cosyserve serve` as a child process."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ANNOUNCEMENT: Final = "listening on "
_STOP_TIMEOUT: Final = 15.0


class ServerDidNotStart(Exception):
    """The message holds the end of what the server said."""


@dataclass(frozen=True, slots=True)
class LaunchedServer:
    url: str
    pid: int


@asynccontextmanager
async def launched_server(
    *flags: str, start_timeout: float = 60.0
) -> AsyncIterator[LaunchedServer]:
    """Run a server on a free loopback port, with its references in a folder that goes with it.

    COSYSERVE_* settings of the environment do not reach it. Raises ServerDidNotStart.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COSYSERVE_")
    }
    with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
        log = Path(folder, "log")
        with await asyncio.to_thread(log.open, "wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cosyserve", "serve", "--host", "127.0.0.1"),
                *("--port", "0", "--references", str(Path(folder, "references")), *flags),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        assert process.stdout is not None
        draining: asyncio.Task[None] | None = None
        try:
            url = await _announced(process.stdout, log, start_timeout)
            # Nobody reads the rest, and a full pipe would stop the server.
            draining = asyncio.create_task(_drain(process.stdout))
            yield LaunchedServer(url, process.pid)
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
    raise ServerDidNotStart(f"{reason}; it said:\n{_tail(log)}")


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
