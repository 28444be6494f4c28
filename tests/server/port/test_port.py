from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import pytest
import structlog

from cosyserve.server.port.connections import HEADS_PER_ROUND
from cosyserve.server.port.sockets import SPARE, Sockets
from support.peers.peers import PATH, Peer
from support.peers.tls import self_signed

UPGRADE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nconnection: Upgrade\r\nuPgRaDe: WebSocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Authorization: Bearer alice-secret\r\n\r\n"
).encode()


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces one by one; what comes back up to the end of a head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("cut", [1, 7, 40, 200])
async def test_a_head_may_come_in_pieces(peer: Peer, cut: int) -> None:
    pieces = [UPGRADE[i : i + cut] for i in range(0, len(UPGRADE), cut)]
    assert (await exchange(peer.server.port, *pieces)).startswith(b"HTTP/1.1 101 ")
    plain = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    pieces = [plain[i : i + cut] for i in range(0, len(plain), cut)]
    answer = await exchange(peer.server.port, *pieces)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


async def test_the_word_websocket_elsewhere_is_no_upgrade(peer: Peer) -> None:
    plain = b"GET /healthz?upgrade:websocket HTTP/1.1\r\nHost: x\r\nX-Upgrade: websocket\r\n\r\n"
    assert (await exchange(peer.server.port, plain)).startswith(b"HTTP/1.1 200 ")


async def test_an_upload_may_ask_to_continue(peer: Peer) -> None:
    head = (
        b"POST /api/v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-secret\r\n"
        b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await exchange(peer.server.port, head)).startswith(b"HTTP/1.1 100 ")


async def test_of_many_heads_at_once_each_is_answered(peer: Peer) -> None:
    port, many = peer.server.port, 4 * HEADS_PER_ROUND
    plain = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    gone = [await asyncio.open_connection("127.0.0.1", port) for _ in range(many)]
    for _, writer in gone:
        writer.write(UPGRADE)
        writer.transport.abort()
    answers = await asyncio.gather(
        *(exchange(port, sent) for sent in (UPGRADE, plain) for _ in range(many))
    )
    assert all(answer.startswith(b"HTTP/1.1 101 ") for answer in answers[:many])
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers[many:])


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET", b"GET /\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["nothing", "half a head", "a bad head", "a request"],
)
async def test_whoever_wants_no_websocket_leaves_nothing_to_collect(
    peer: Peer, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, accept = asyncio.Event(), Sockets.accept

    def watch(self: Sockets, protocol: asyncio.BaseProtocol, abort: Callable[[], None]) -> bool:
        weakref.finalize(protocol, gone.set)
        return accept(self, protocol, abort)

    monkeypatch.setattr(Sockets, "accept", watch)
    gc.disable()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
        writer.write(sent)
        if sent.endswith(b"\r\n\r\n"):
            await reader.read()
        writer.close()
        await writer.wait_closed()
        await gone.wait()
    finally:
        gc.enable()


async def test_a_head_that_never_ends_is_cut_off(served) -> None:
    async with served(head_timeout=0.1) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.close()


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "whole"])
async def test_a_head_that_is_too_large_is_refused_and_given_no_time(
    peer: Peer, end: bytes
) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + bytes(16 * 1024).replace(b"\0", b"x") + end
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(head)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"allowed: 16384 bytes" in answer
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_goes_on_after_a_refused_head_is_cut_off(served) -> None:
    async with served(head_timeout=0.1) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + 40_000 * b"x")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        with suppress(ConnectionError):
            while len(server.services.sockets):  # until the deadline, whatever comes
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0)
        assert len(server.services.sockets) == 0
        writer.close()


async def test_blank_lines_are_no_head_and_get_no_time(served) -> None:
    async with served(head_timeout=0.1) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\r\n\r\n\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_silent_client_of_the_metrics_address_is_cut_off(served) -> None:
    with structlog.testing.capture_logs() as logs:
        async with served(head_timeout=0.1, metrics_address="127.0.0.1:0"):
            (url,) = (entry["url"] for entry in logs if entry["event"] == "metrics_listening")
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost")
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


async def test_silent_clients_of_the_metrics_address_keep_no_scrape_out(
    served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosyserve.server.app._METRICS_SOCKETS", 3)
    with structlog.testing.capture_logs() as logs:
        async with served(metrics_address="127.0.0.1:0"):
            (url,) = (entry["url"] for entry in logs if entry["event"] == "metrics_listening")
            silent = [
                await asyncio.open_connection("127.0.0.1", urlsplit(url).port) for _ in range(4)
            ]
            assert await silent[0][0].read() == b""
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                assert answer.status == 200
        # The end of the server leaves none of them open.
        for reader, writer in silent:
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()


async def test_whoever_says_nothing_keeps_nobody_out(served) -> None:
    async with served(max_connections=1) as (server, engine):
        silent = [
            await asyncio.open_connection("127.0.0.1", server.port) for _ in range(SPARE + 10)
        ]
        async with Peer.of(server, engine) as peer, peer.socket():
            async with peer.http.get("/healthz") as answer:
                assert answer.status == 200
            assert len(server.services.sockets) <= 1 + SPARE
            assert await asyncio.wait_for(silent[0][0].read(), 5) == b""
        for _reader, writer in silent:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("words", [b"nothing of TLS", b""])
async def test_a_failed_tls_handshake_gives_its_place_back(served, tmp_path, words) -> None:
    cert_file, key_file = self_signed(tmp_path)
    tls = {"tls_cert": str(cert_file), "tls_key": str(key_file)}
    async with served(head_timeout=0.1, **tls) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(words)
        await asyncio.wait_for(reader.read(), 5)
        while len(server.services.sockets):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
        writer.close()


async def test_clients_that_leave_before_they_say_anything_do_no_harm(peer: Peer) -> None:
    for _ in range(20):
        _reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
        writer.close()
        await writer.wait_closed()
    async with peer.http.get("/healthz") as answer:
        assert answer.status == 200


async def test_a_tls_handshake_that_never_ends_is_cut_off(served, tmp_path) -> None:
    cert_file, key_file = self_signed(tmp_path)
    tls = {"tls_cert": str(cert_file), "tls_key": str(key_file)}
    async with served(head_timeout=0.1, **tls) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x16\x03\x01")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


async def test_what_is_no_tls_is_cut_off_at_once(served, tmp_path) -> None:
    cert_file, key_file = self_signed(tmp_path)
    async with served(tls_cert=str(cert_file), tls_key=str(key_file)) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()


def test_tls_clients_lose_no_first_byte_to_uvloop(served, tmp_path) -> None:
    """There a ClientHello can come before any task could run."""
    cert_file, key_file = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=cert_file)

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer[:12]

    async def ask_often() -> list[bytes]:
        tls = {"tls_cert": str(cert_file), "tls_key": str(key_file)}
        async with served(head_timeout=2.0, **tls) as (server, _engine):
            return await asyncio.gather(*(ask(server.port) for _ in range(60)))

    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert set(runner.run(ask_often())) == {b"HTTP/1.1 200"}
