"""An answer whose body is sent while it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import orjson
from aiohttp import web

from cosyserve.protocol.fields import JsonObject

from .envelope import REQUEST_ID, SERVER
from .sending import DELIVERY, ClientGone, CutOff

__all__ = ["ChunkedAnswer", "ClientGone", "sse"]


def sse(body: JsonObject) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


class ChunkedAnswer:
    """The body of one request in chunks. What fails before the first `write` can have another status.

    A client that reads nothing is cut off: see Delivery.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self._request = request
        self._delivery = request[DELIVERY]
        self.response = web.StreamResponse(
            headers={
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",  # nginx must not hold chunks back
                "X-Request-Id": request[REQUEST_ID],
                "Server": SERVER,
                **headers,
            }
        )
        self.response.force_close()  # see server/port/connections.py

    @property
    def started(self) -> bool:
        return self.response.prepared

    async def write(self, data: bytes, seconds: float = 0.0) -> None:
        """Send some of the body; returns when the kernel has most of it.

        seconds: how long the sound in it plays. Raises ClientGone if the client left.
        """
        self._delivery.sound(len(data), seconds)
        await self._awaited(self._write(data))

    async def end(self) -> None:
        """Send the end of the body. Raises as `write` does."""
        await self._awaited(self.response.write_eof())

    def cut(self) -> ClientGone:
        """What the handler raises to leave the body without its end."""
        return CutOff("cut off: the speech failed after it began")

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write(data)
        await self._request.writer.drain()  # aiohttp waits only once for each 64 KiB

    async def _awaited(self, write: Awaitable[None]) -> None:
        try:
            with self._delivery.awaited():
                await write
        except ConnectionResetError as error:
            raise ClientGone("the client left") from error
