"""How an answer ends: once the client has its last byte, or cut off so that no client takes it for whole."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import ExitStack
from typing import Final

from aiohttp import HttpVersion11, web

from ..delivery import Delivery

DELIVERY: Final = web.RequestKey("delivery", Delivery)
UNTIL_SENT: Final = web.RequestKey("until_sent", ExitStack)
"""What an answer holds until the client has it or is gone."""
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class ClientGone(ConnectionResetError):
    """There is nobody to answer: the client left, does not read, or is to be cut off."""


class CutOff(ClientGone):
    """The body must not end properly: its content failed after it began."""


async def send(request: web.Request, response: web.StreamResponse) -> None:
    """Send what is left of the response, and wait until the client has taken all of it.

    Raises CancelledError if the client is gone, as aiohttp does when it is the first to see that.
    """
    delivery = request[DELIVERY]
    try:
        with delivery.awaited():
            await response.prepare(request)
            await response.write_eof()
    except ConnectionError:
        raise asyncio.CancelledError from None
    await delivery.taken()


class PartingConnection(web.RequestHandler):
    """A connection that parses nothing more once `parts` is set."""

    parts = False


async def part(request: web.Request, seconds: float) -> None:
    """After the answer, throw away what still comes of a body that was not read to its end.

    Until the client closes, or for so many seconds: many clients send all of a body before they read, and to
    close at once could take the answer from them. Raises CancelledError if the client closes.
    """
    connection, transport = request.protocol, request.transport
    if request.content.is_eof() or transport is None:
        return
    assert isinstance(connection, PartingConnection)
    connection.parts = True
    if transport.can_write_eof():
        transport.write_eof()
    connection.resume_reading()
    await asyncio.sleep(seconds)


async def cut_off(request: web.Request) -> None:
    """Close the connection without the body's end, once the client has taken what was sent of it.

    Over HTTP/1.0 the close itself is the body's end, and only a reset says that it is cut.
    """
    await request[DELIVERY].taken()
    if (transport := request.transport) is None:
        return
    if request.version >= HttpVersion11:
        transport.close()
    else:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
