"""Places: all connections and tasks that a token can have, and more connections than there are places."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

from ...texts import SENTENCES
from ..wire import CLOSE, LOST, PATH, Wire, command, connected, run_task, upgrade
from .attack import ANSWER_TIMEOUT, UNANSWERED, Attack, Ground

TASKS: Final = 8
"""On a connection."""
CONNECTIONS: Final = 4000
AT_ONCE: Final = 50
"""Connections that are opened at the same time."""
TRICKLING: Final = 100
"""Connections, which want more tasks than a token may have."""
CROWD: Final = 1000
MANY: Final = 10_000
MANY_AT_ONCE: Final = 200
SOURCES: Final = 4
"""Addresses that those come from: the ports of one are too few for some systems."""


def _empty_tasks(ground: Ground) -> bytes:
    return b"".join(
        run_task(str(number), ground.voice)
        + command("continue-task", str(number), input={"text": ""})
        for number in range(TASKS)
    )


async def _take_all(ground: Ground) -> None:
    """As many connections as it can get, with as many tasks on each, and not a word for any."""
    tasks = _empty_tasks(ground)
    opening = asyncio.Semaphore(AT_ONCE)

    async def hold() -> None:
        async with AsyncExitStack() as stack:
            try:
                async with opening:
                    wire = await stack.enter_async_context(connected(ground.url))
                    await wire.send(upgrade(PATH, ground.token))
                    if await ground.note(wire.status()) != 101:
                        return
                    await wire.send(tasks)
                await _follow(ground, wire)
            except LOST:
                ground.got["cut off"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(ground.many(CONNECTIONS)):
            group.create_task(hold())


async def _trickle(ground: Ground) -> None:
    """All the tasks that it can get; each has a character every second."""
    tasks = _empty_tasks(ground)
    characters = b"".join(
        command("continue-task", str(number), input={"text": "a"}) for number in range(TASKS)
    )

    async def talk(wire: Wire) -> None:
        while True:
            await wire.send(characters)
            await asyncio.sleep(1)

    async def hold() -> None:
        async with connected(ground.url) as wire:
            await wire.send(upgrade(PATH, ground.token))
            if await ground.note(wire.status()) != 101:
                return
            await wire.send(tasks)
            talking = asyncio.create_task(talk(wire))
            try:
                await _follow(ground, wire)
            finally:
                talking.cancel()
                await asyncio.wait([talking])

    await ground.repeat(TRICKLING, hold)


async def _crowd(ground: Ground) -> None:
    """Speech for many listeners at once; who is refused or has heard all asks again."""
    task = run_task("one", ground.voice, audio_transport="binary")
    text = command("finish-task", "one", input={"text": " ".join(SENTENCES)})

    async def listen() -> None:
        async with connected(ground.url) as wire:
            await wire.send(upgrade(PATH, ground.token))
            if await ground.note(wire.status()) != 101:
                return
            await wire.send(task + text)
            while True:
                _, data = await wire.frame()
                for event in ("finished", "failed"):
                    if f'"task-{event}"'.encode() in data:
                        ground.got[f"tasks {event}"] += 1
                        return

    await ground.repeat(CROWD, listen)


async def _follow(ground: Ground, wire: Wire) -> None:
    """Count how tasks begin and fail, until the connection is closed. Raises LOST."""
    while True:
        opcode, data = await wire.frame()
        if opcode == CLOSE:
            ground.got[f"close {int.from_bytes(data[:2], 'big')}"] += 1
            return
        for event in ("started", "failed"):
            if f'"task-{event}"'.encode() in data:
                ground.got[f"tasks {event}"] += 1


async def _connect_many(ground: Ground) -> None:
    """Ask for more WebSockets than there are places, and keep those that are let in."""
    opening = asyncio.Semaphore(MANY_AT_ONCE)
    over = asyncio.Event()
    left = ground.many(MANY)

    async def ask(number: int) -> None:
        nonlocal left
        async with AsyncExitStack() as stack:
            async with opening:
                status = 0
                with suppress(*LOST):
                    async with asyncio.timeout(ANSWER_TIMEOUT):
                        source = f"127.0.0.{2 + number % SOURCES}"
                        wire = await stack.enter_async_context(connected(ground.url, source))
                        await wire.send(upgrade(PATH, ground.token))
                        status = await wire.status()
                ground.got[str(status) if status else UNANSWERED] += 1
            left -= 1
            if not left:
                over.set()
            if status == 101:
                await over.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(left):
            group.create_task(ask(number))


ATTACKS: Final = (
    Attack(
        "places", f"{CONNECTIONS:,} connections with {TASKS} tasks without text each", _take_all
    ),
    Attack(
        "trickle", "all the tasks that a token can have, a character a second for each", _trickle
    ),
    Attack("crowd", f"{CROWD:,} listeners at once, all of one token", _crowd),
    Attack(
        "connections",
        f"{MANY:,} connections, {MANY_AT_ONCE} at once, kept",
        _connect_many,
        60,
        first_sound=None,
    ),
)
