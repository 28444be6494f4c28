"""Floods: one WebSocket on which the same frame is sent for ever, as fast as the server takes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..wire import (
    CONTINUATION,
    LOST,
    PATH,
    PING,
    TEXT,
    command,
    connected,
    frame,
    run_task,
    upgrade,
)
from .attack import Attack, Ground

BLOCK: Final = 64 * 1024
"""Bytes of the flood that are written at once."""


@dataclass(frozen=True, slots=True)
class _Flood:
    """repeated: the frame that is sent for ever. first: frames to begin with, after run-task if `task`."""

    repeated: bytes
    first: bytes = b""
    task: bool = False
    reads: bool = True

    async def lead(self, ground: Ground) -> None:
        """Flood, on a new connection each time the server has closed one."""
        await ground.repeat(1, partial(self._flood, ground))

    async def _flood(self, ground: Ground) -> None:
        async with connected(ground.url) as wire:
            await wire.send(upgrade(PATH, ground.token))
            if await ground.note(wire.status()) != 101:
                return
            closed = asyncio.create_task(wire.closed()) if self.reads else None
            try:
                await wire.send(
                    (run_task("flood", ground.voice) if self.task else b"") + self.first
                )
                block = self.repeated * (BLOCK // len(self.repeated))
                while closed is None or not closed.done():
                    await wire.send(block)
            except LOST:
                if closed is None:
                    raise
            finally:
                await self._note_close(ground, closed)

    async def _note_close(self, ground: Ground, closed: asyncio.Task[int] | None) -> None:
        if closed is None:
            return
        if not closed.done():
            closed.cancel()
        await asyncio.wait([closed])
        if closed.cancelled():
            ground.got["still open"] += 1
        elif closed.exception() is not None:
            ground.got["cut off"] += 1
        else:
            ground.got[f"close {closed.result()}"] += 1


def _text(text: str) -> bytes:
    return command("continue-task", "flood", input={"text": text})


_FLOODS: Final = {
    "pings": _Flood(frame(PING, b"")),
    "unread-pings": _Flood(frame(PING, bytes(125)), reads=False),
    "unknown-actions": _Flood(command("x", "flood")),
    "characters": _Flood(_text("a"), task=True),
    "empty-texts": _Flood(_text(""), task=True),
    "fragments": _Flood(
        frame(CONTINUATION, b" ", final=False), first=frame(TEXT, b"{", final=False)
    ),
}


ATTACKS: Final = tuple(
    Attack(f"flood-{name}", f"one WebSocket, {name.replace('-', ' ')} without end", flood.lead)
    for name, flood in _FLOODS.items()
)
