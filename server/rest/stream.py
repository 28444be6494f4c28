"""An answer that is sent while it is made."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Mapping

import orjson
from aiohttp import HttpVersion11, web

from cosyserve.protocol.fields import JsonObject

from .envelope import REQUEST_ID, SERVER

_AT_ONCE = struct.pack("ii", 1, 0)


def sse(body: JsonObject) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


class ClientGone(ConnectionResetError):
    """There is nobody to answer any more: the client left or does not read, or was cut off."""


class ChunkedAnswer:
    """The body of one request in chunks. What fails before the first `write` can have another status.

    limit: seconds that the client may take nothing; then the connection is aborted.
    """

    def __init__(self, request: web.Request, limit: float, headers: Mapping[str, str]) -> None:
        self._request = request
        self._limit = limit
        self.response = web.StreamResponse(
            headers={
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",  # nginx must not hold chunks back
                "X-Request-Id": request[REQUEST_ID],
                "Server": SERVER,
                **headers,
            }
        )
        self.response.force_close()  # see server/port.py

    @property
    def started(self) -> bool:
        return self.response.prepared

    async def write(self, data: bytes) -> None:
        """Send some of the body. Raises ClientGone if the client left or does not read."""
        await self._within_limit(self._write(data))

    async def end(self) -> None:
        """Send the end of the body. Raises as `write` does."""
        await self._within_limit(self.response.write_eof())

    def cut(self) -> ClientGone:
        """Close the connection without the body's end, so that no client takes it for whole.

        What is sent already still arrives, but over HTTP/1.0: there the close itself is the body's
        end, and only a reset says that it is cut. Gives what the handler raises.
        """
        if (transport := self._request.transport) is None:
            pass
        elif self._request.version >= HttpVersion11:
            transport.close()
            asyncio.get_running_loop().call_later(self._limit, transport.abort)
        else:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            transport.abort()
        return ClientGone("cut off: the speech failed after it began")

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write(data)

    async def _within_limit(self, write: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await write
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ClientGone("cut off: the client does not read") from None
        except ConnectionResetError as error:
            raise ClientGone("the client left") from error
