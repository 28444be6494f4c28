"""The client's end of a socket, which sends whatever it is given."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_ANSWER: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
WAIT: Final = b"%wait"
"""Wait until something comes, for a moment."""
END: Final = b"%end"
"""Send nothing more."""
LEAVE: Final = b"%leave"
"""Cut the connection."""
PATIENCE: Final = 60.0
"""Seconds for what takes a fraction of one, in a loop that is not at fault if the machine is busy."""
_WAIT: Final = 0.05


async def all_that_comes(port: int, records: Sequence[bytes]) -> tuple[bytes, bool]:
    """Send records on one connection; what comes until it ends, and whether the client left it open.

    A record is sent as it is, or is one of WAIT, END and LEAVE. Raises TimeoutError if the server does not
    end the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    came, heard = bytearray(), asyncio.Event()

    async def hear() -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                came.extend(data)
                heard.set()
        heard.set()

    hearing = asyncio.create_task(hear())
    own = False
    try:
        async with asyncio.timeout(PATIENCE):
            for record in records:
                if record == LEAVE:
                    writer.transport.abort()
                    own = True
                elif record == END and not own:
                    with suppress(OSError, RuntimeError):
                        writer.write_eof()
                    own = True
                elif record == WAIT:
                    heard.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_WAIT):
                            await heard.wait()
                elif not own and not writer.is_closing():
                    writer.write(record)
                    await asyncio.sleep(0)
            await hearing
    finally:
        hearing.cancel()
        writer.close()
    return bytes(came), not own


def final_answer(came: bytes | bytearray) -> tuple[re.Match[bytes] | None, bytes]:
    """The head of what HTTP answers, after those that only ask to go on, and what comes behind it."""
    at, head = 0, _ANSWER.match(came)
    while head is not None and head[1] == b"100":
        at = head.end()
        head = _ANSWER.match(came, at)
    return head, bytes(came[at if head is None else head.end() :])
