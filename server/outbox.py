"""The one guarded write path of a WebSocket connection."""

from __future__ import annotations

import asyncio

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

    async def send(self, frame: Frame) -> None:
        """Write one frame, and its attachment right behind it, then wait until the peer keeps up.

        Raises ConnectionClosed, also where the limit ran out. If it is cancelled the frame is written
        whole, or not at all: both parts go to the transport before the first wait.
        """
        try:
            async with asyncio.timeout(self._limit):
                if frame.attachment is None:
                    await self._socket.send(frame.text, text=True)
                else:
                    broadcast((self._socket,), frame.text, text=True)
                    await self._socket.send(frame.attachment)
        except TimeoutError:
            self._socket.transport.abort()
            await self._socket.wait_closed()
            raise ConnectionClosed(None, None) from None
