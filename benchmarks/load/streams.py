"""Streams of tasks against a server, and the times of everything that happens to them.

A stream is one client with a connection of its own that runs its tasks one after another. All times
are `time.perf_counter()`, which on Linux counts alike in all processes of a machine.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from cosyserve.clients import Client, ClientError, RequestFailed, SpeechFailed
from cosyserve.clients.cli.options import tls_context

from ..stats import Playback, play
from ..texts import tokens


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The work of every stream.

    tasks: of a stream, after `warmup` tasks that do not count.
    tokens_per_second: the pace of the text; 0: all at once.
    paced: a stream waits until its speech has been played, then a pause, as in a conversation; else
    it starts the next task at once. pause: its mean (s); a stream draws from half to one and a half.
    await_start: no text before task-started. task_timeout: seconds after which a task has failed.
    seed: of the pauses.
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
    """The times of one task (s), and of each of its chunks the arrival and the length.

    error: why the task failed; empty if it did not.
    """

    stream: int
    run_at: float = 0.0
    first_text_at: float = 0.0
    last_text_at: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    audio_bytes: int = 0
    error: str = ""

    @property
    def playback(self) -> Playback:
        return play(self.arrivals, self.lengths)


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
                await asyncio.sleep(max(0.0, record.playback.ends_at - perf_counter()))
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
