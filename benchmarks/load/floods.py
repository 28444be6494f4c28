"""How long another client waits for its first sound while one WebSocket floods the server.

    python -m cosyserve.benchmarks.load.floods
    python -m cosyserve.benchmarks.load.floods --against ../older-checkout

The engine answers at once (timed_engine.py), so that the wait is the server's own. The flood is written by
a thread in whole blocks; its connection reads nothing or throws away all that it reads.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import uvloop

from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, milliseconds, write_report
from ..stats import Summary, summarize
from .launch import LaunchedServer, ServerDidNotStart, importable, timed_server
from .timed_engine import VOICE

THIS: Final = Path(__file__).resolve().parents[2]
"""This checkout."""
PATH: Final = "/api-ws/v1/audio/speech"
BLOCK: Final = 64 * 1024
"""Bytes of the flood that are written at once."""
_TEXT, _PING, _CONTINUATION = 0x1, 0x9, 0x0
_FINAL: Final = 0x80


@dataclass(frozen=True, slots=True)
class Flood:
    """first: frames to begin with; repeated: the frame that is sent for ever."""

    name: str
    first: bytes
    repeated: bytes
    reads: bool


@dataclass(frozen=True, slots=True)
class Waited:
    """What the other client waited for its first sound, in seconds, or until it was told that there is none.

    failed: how many of its tasks had none. memory_mib: of the server afterwards.
    """

    checkout: str
    flood: str
    first_sound: Summary
    failed: int
    memory_mib: float


def _frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    first = opcode | (_FINAL if final else 0)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([first]) + size + bytes(4) + data


def _message(action: str, **payload: Any) -> bytes:
    header = {"action": action, "task_id": "flood", "streaming": "duplex"}
    return _frame(_TEXT, orjson.dumps({"header": header, "payload": {"input": {}, **payload}}))


_RUN: Final = _message(
    "run-task",
    model="cosyvoice-v2",
    parameters={"mode": "fast_replication", "reference_audio_id": VOICE, "output_format": "pcm"},
)
FLOODS: Final = (
    Flood("none", b"", b"", reads=True),
    Flood("pings", b"", _frame(_PING, b""), reads=True),
    Flood("pings, unread", b"", _frame(_PING, bytes(125)), reads=False),
    Flood("unknown actions", b"", _message("x"), reads=True),
    Flood("one-character texts", _RUN, _message("continue-task", input={"text": "a"}), reads=True),
    Flood(
        "fragments",
        _frame(_TEXT, b"{", final=False),
        _frame(_CONTINUATION, b" ", final=False),
        reads=True,
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.floods",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tasks", type=int, default=20, help="measured for each (default: 20)")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="measure the server of this checkout, too"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    options = parser.parse_args(argv)
    around = conditions()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runs = runner.run(_measure_all(options.tasks, options.against))
    except (ServerDidNotStart, OSError) as error:
        print(f"floods: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print_table(HEAD, [row(run) for run in runs])
    report = {**around, "runs": [asdict(run) for run in runs]}
    print(f"wrote {write_report(options.out, 'floods', report)}")
    return 0


async def _measure_all(tasks: int, against: Path | None) -> list[Waited]:
    runs = []
    for flood in FLOODS:
        for name, checkout in (("this", THIS), ("other", against)):
            if checkout is not None:
                print(f"{flood.name}, {name} checkout ...", file=sys.stderr, flush=True)
                with importable(checkout) as packages:
                    runs.append(await measure(flood, tasks, name, packages))
    return runs


async def measure(flood: Flood, tasks: int, checkout: str, packages: Path | None = None) -> Waited:
    """The waits of so many tasks, one after the other, each on a connection of its own.

    checkout: its name in the report. packages: as in `launch.timed_server`. Raises as that does, and
    OSError.
    """
    async with timed_server(
        chunks=3, chunk_seconds=0.2, interval=0.0, max_tasks=8, packages=packages
    ) as server:
        with _flooding(flood, server):
            found = [await _first_sound(server.url) for _ in range(tasks)]
            memory = server.memory_kib / 1024
    waits = summarize([seconds for seconds, _ in found])
    assert waits is not None
    return Waited(checkout, flood.name, waits, sum(not came for _, came in found), memory)


async def _first_sound(url: str) -> tuple[float, bool]:
    """Seconds from the attempt to connect to the first chunk or to a failure, and whether it came."""
    began = perf_counter()
    try:
        async with (
            Client(url, timeout=60) as client,
            client.speech(voice=VOICE, audio_transport="binary") as speech,
        ):
            await speech.feed("text")
            await speech.finish()
            waits = [chunk.received_at - began async for chunk in speech]
    except ClientError:
        return perf_counter() - began, False
    return waits[0], True


@contextmanager
def _flooding(flood: Flood, server: LaunchedServer) -> Iterator[None]:
    """A context in which one connection floods the server."""
    if not flood.repeated:
        yield
        return
    address = urlsplit(server.url)
    assert address.hostname is not None
    connection = socket.create_connection((address.hostname, address.port or 80), timeout=60)
    try:
        connection.sendall(
            f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        connection.recv(4096)
        connection.sendall(flood.first)
        threads = [threading.Thread(target=_write, args=(connection, flood.repeated))]
        if flood.reads:
            threads.append(threading.Thread(target=_read, args=(connection,)))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
    finally:
        connection.close()


def _write(connection: socket.socket, frame: bytes) -> None:
    block = frame * (BLOCK // len(frame))
    with suppress(OSError):
        while True:
            connection.sendall(block)


def _read(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(BLOCK):
            pass


HEAD = ("flood", "checkout", "first sound p50", "p95", "max ms", "failed", "server MiB")


def row(run: Waited) -> tuple[str, ...]:
    """A run as a row under HEAD."""
    waits = (getattr(run.first_sound, name) for name in ("p50", "p95", "max"))
    return (
        run.flood,
        run.checkout,
        *map(milliseconds, waits),
        str(run.failed),
        f"{run.memory_mib:.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
