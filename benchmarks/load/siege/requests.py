"""Requests that cost their sender little: bodies, heads and sockets that no client of ours would send."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import cycle
from typing import Final

from ..wire import LOST, Wire, connected, request, upgrade
from .attack import Attack, Ground

SPEECH: Final = "/api/v1/audio/speech"
UPLOADS: Final = "/api/v1/audio/reference_audio"
BODIES_AT_ONCE: Final = 4
UNPACKED: Final = 256 * 2**20
FIELDS: Final = 100_000
ANONYMOUS: Final = 10**6
LONG_HEAD: Final = 17 * 1024
HEADS_AT_ONCE: Final = 16
SOCKETS: Final = 1100
STRANGERS: Final = 5000
"""Sockets without a word: more than the server has places for."""
OPENING: Final = 100
"""Sockets that are opened at the same time."""


async def _answered(ground: Ground, sent: bytes) -> None:
    """Send it, wait for the answer, and count its status."""
    async with connected(ground.url) as wire:

        async def answer() -> int:
            with suppress(
                ConnectionError
            ):  # a refusal need not wait for all of it: the answer tells
                await wire.send(sent)
            return await wire.status()

        await ground.note(answer())


# Bodies


async def _packed(ground: Ground) -> None:
    """A form whose one field is zeros: what unpacks to 256 MiB comes in 256 KiB."""
    zeros = bytes(ground.many(UNPACKED))
    form = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n' + zeros + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}
    packed = gzip.compress(form, compresslevel=6)
    await _bodies(ground, request("POST", UPLOADS, ground.token, headers, packed))


async def _fields(ground: Ground) -> None:
    field = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n'
    body = field * ground.many(FIELDS) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    await _bodies(ground, request("POST", UPLOADS, ground.token, headers, body))


async def _anonymous(ground: Ground) -> None:
    body = b'{"input": "' + b"x" * ground.many(ANONYMOUS) + b'"}'
    await _bodies(ground, request("POST", "/v1/audio/speech", body=body))


async def _nested(ground: Ground) -> None:
    """JSON of two million brackets."""
    body = b"[" * ground.many(ANONYMOUS) + b"]" * ground.many(ANONYMOUS)
    await _bodies(ground, request("POST", SPEECH, ground.token, body=body))


async def _bodies(ground: Ground, sent: bytes) -> None:
    await ground.repeat(BODIES_AT_ONCE, partial(_answered, ground, sent))


# Heads


async def _long_heads(ground: Ground) -> None:
    headers = {f"X-{number}": "x" * 1000 for number in range(LONG_HEAD // 1000)}
    sent = request("GET", "/version", ground.token, headers)
    await ground.repeat(HEADS_AT_ONCE, partial(_answered, ground, sent))


async def _slow_heads(ground: Ground) -> None:
    """A head that grows by a character every second, on many sockets."""

    async def grow(wire: Wire) -> None:
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        while True:
            await asyncio.sleep(1)
            await wire.send(b"x")

    await _on_sockets(ground, SOCKETS, grow)


async def _strangers(ground: Ground) -> None:
    async def say_nothing(wire: Wire) -> None:
        await wire.rest()

    await _on_sockets(ground, STRANGERS, say_nothing)


async def _on_sockets(ground: Ground, sockets: int, act: Callable[[Wire], Awaitable[None]]) -> None:
    """Act on so many sockets at once; each that the server cuts off is followed by another."""
    opening = asyncio.Semaphore(OPENING)

    async def act_again() -> None:
        while True:
            async with AsyncExitStack() as stack:
                try:
                    async with opening:
                        wire = await stack.enter_async_context(connected(ground.url))
                        ground.got["opened"] += 1
                    await act(wire)
                except LOST:
                    pass
                ground.got["cut off"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(ground.many(sockets)):
            group.create_task(act_again())


# Strange ones

_FOREIGN: Final[Sequence[bytes]] = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    request("GET", "/version", "no such token"),
    request("GET", "/etc/../../passwd"),
    request("POST", SPEECH, "wrong-secret", body=b"{}"),
    request("GET", "/v1/voices", headers={"xi-api-key": "wrong-secret"}),
    request("BREW", "/", "wrong-secret"),
    upgrade("/api-ws/v1/audio/speech", "wrong-secret"),
    upgrade("/api-ws/v1/inference"),
    upgrade("/no/such/path", "wrong-secret"),
    upgrade("/v1/text-to-speech/%00/stream-input", "wrong-secret"),
)


async def _foreign(ground: Ground) -> None:
    requests = cycle(_FOREIGN)

    async def ask() -> None:
        await _answered(ground, next(requests))

    await ground.repeat(HEADS_AT_ONCE, ask)


ATTACKS: Final = (
    Attack("body-gzip", f"{BODIES_AT_ONCE} forms at once that would unpack to 256 MiB", _packed),
    Attack("body-fields", f"{BODIES_AT_ONCE} forms at once of {FIELDS:,} fields", _fields),
    Attack("body-anonymous", f"{BODIES_AT_ONCE} times 1 MB of JSON at once, no token", _anonymous),
    Attack("body-nested", f"{BODIES_AT_ONCE} times 2 MB of brackets at once", _nested),
    Attack("head-long", f"{HEADS_AT_ONCE} heads at once of over 16 KiB", _long_heads),
    Attack("head-slow", f"{SOCKETS:,} heads without a token, a byte every second", _slow_heads),
    Attack("head-none", f"{STRANGERS:,} sockets that say nothing", _strangers),
    Attack("foreign", "malformed heads and wrong secrets, one after another", _foreign),
)
