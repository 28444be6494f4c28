"""Upgrades as bytes: what no client library would send."""

from __future__ import annotations

import asyncio

import pytest

from support.peers.peers import Peer

STREAM = "/v1/text-to-speech/plain/stream-input"
DASHSCOPE = "/api-ws/v1/inference"
BEARER = "Authorization: Bearer alice-secret"
KEY = "xi-api-key: alice-secret"


async def status(peer: Peer, target: str, *headers: str) -> int:
    """The HTTP status of an upgrade."""
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    lines = (
        f"GET {target} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    )
    writer.write("\r\n".join((*lines, "", "")).encode("latin-1"))
    answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize("target", ["//[", "http://[x/api-ws/v1/inference", "*", "/a/../b"])
async def test_an_address_that_is_none_is_not_found(peer: Peer, target: str) -> None:
    assert await status(peer, target, BEARER) == 404


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        (DASHSCOPE, (BEARER,), 101),
        (DASHSCOPE, (KEY,), 401),
        ("/api-ws/v1/audio/speech", (KEY,), 401),
        (f"{DASHSCOPE}?token=alice-secret", (), 401),
        (STREAM, (KEY,), 101),
        (STREAM, (KEY, KEY), 401),
        (STREAM, ("Authorization: Bearer wrong", KEY), 401),
        (STREAM, ("Authorization: ", KEY), 401),
        (STREAM, ("xi-api-key: \xff\xfe",), 401),
        (f"{STREAM}?xi-api-key=alice-secret", (), 401),
    ],
)
async def test_a_token_counts_only_where_the_dialect_has_it(
    peer: Peer, target: str, headers: tuple[str, ...], expected: int
) -> None:
    assert await status(peer, target, *headers) == expected
