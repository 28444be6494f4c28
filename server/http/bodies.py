"""The bodies of requests: read whole within a limit, and only once the request is known to be welcome.

Nothing is unpacked. A handler runs after the token is checked, so a body without one is never read.
"""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from cosyserve.protocol.errors import (
    InvalidParameter,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from .envelope import SERVICES

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.Request) -> bytes:
    """The whole body of a call in JSON.

    Raises PayloadTooLarge, RequestTimeout, UnsupportedMediaType, and InvalidParameter for a body that is
    broken on the way.
    """
    settings = request.app[SERVICES].settings
    limit = settings.body_timeout
    try:
        async with asyncio.timeout(limit):
            return await read_bounded(request, settings.max_message_bytes)
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {limit:g} s") from None


async def read_bounded(request: web.Request, most: int) -> bytes:
    """The whole body, of `most` bytes at most. Raises as `read_body` does, but has no time limit."""
    encodings = request.headers.getall("Content-Encoding", [])
    if any(encoding.strip().lower() not in ("", "identity") for encoding in encodings):
        raise UnsupportedMediaType(
            "Content-Encoding: a compressed body is not accepted; allowed: identity, or no such header"
        )
    if (request.content_length or 0) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        await _ask_for_body(request)
        async for data in request.content.iter_any():
            body += data
            if len(body) > most:
                raise _too_large(most)
    except (web.RequestPayloadError, HttpProcessingError):
        raise InvalidParameter("the body is broken: its chunks or its length are wrong") from None
    return bytes(body)


async def body_is_asked_for_later(request: web.Request) -> None:
    """The `expect_handler` of a route whose handler reads a body.

    aiohttp's own asks for the body before the token is checked.
    """


async def _ask_for_body(request: web.Request) -> None:
    """Tell a client that waits with its body to send it (RFC 9110, section 10.1.1)."""
    if request.version == HttpVersion11 and request.headers.get("Expect"):
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer has not begun


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is too large; allowed: {most} bytes")
