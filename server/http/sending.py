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
