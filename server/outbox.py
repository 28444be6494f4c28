"""The one guarded write path of a WebSocket connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from cosyserve.protocol.codec import Frame


class Outbox:
    """Writes frames with back-pressure and a time limit.

    Pings do not find a reader that stalls, for they wait behind the blocked write; so each write has a
    limit of its own, after which the connection is aborted.
    """

    def __init__(self, socket: ServerConnection, limit: float) -> None:
        self._socket = socket
        self._limit = limit

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write these frames, each with its attachment right behind it, then wait until the peer keeps up.

        Raises ConnectionClosed, also where the limit ran out. If it is cancelled all are written, or
        none: they go to the transport before the first wait.
        """
        parts: list[tuple[bytes, bool]] = []
        for frame in frames:
            parts.append((frame.text, True))
            if frame.attachment is not None:
                parts.append((frame.attachment, False))
        if not parts:
            return
        try:
            async with asyncio.timeout(self._limit):
                for data, text in parts[:-1]:
                    broadcast((self._socket,), data, text=text)
                data, text = parts[-1]
                await self._socket.send(data, text=text)
        except TimeoutError:
            self._socket.transport.abort()
            await self._socket.wait_closed()
            raise ConnectionClosed(None, None) from None
