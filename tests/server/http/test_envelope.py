from __future__ import annotations

import asyncio

import aiohttp
import pytest
from structlog.testing import capture_logs
from yarl import URL

from support.peers.peers import Peer

REFERENCES = "/api/v1/audio/reference_audio"
ROUTES = [
    ("GET", REFERENCES),
    ("POST", REFERENCES),
    ("GET", f"{REFERENCES}/x"),
    ("DELETE", f"{REFERENCES}/x"),
    ("POST", "/api/v1/audio/speech"),
    ("GET", "/version"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_wants_a_token(peer: Peer, method: str, path: str) -> None:
    async with aiohttp.ClientSession(peer.server.url) as nobody:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer alice-secretx"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic YWxpY2U6YWxpY2U="},
        ):
            async with nobody.request(method, path, headers=headers) as answer:
                assert answer.status == 401
                assert (await answer.json())["code"] == "Unauthorized"


async def test_probes_and_metrics_want_none(peer: Peer) -> None:
    async with aiohttp.ClientSession(peer.server.url) as nobody:
        for path in ("/healthz", "/readyz", "/metrics"):
            async with nobody.get(path) as answer:
                assert answer.status == 200


async def test_the_routers_refusals_have_the_same_body(peer: Peer) -> None:
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "NotFound"),
        ("PUT", REFERENCES, 405, "MethodNotAllowed"),
        ("GET", "/api/v1/audio/speech", 405, "MethodNotAllowed"),
        ("GET", "/api-ws/v1/audio/speech", 400, "InvalidParameter"),
    ):
        async with peer.http.request(method, path) as answer:
            found = await answer.json()
            assert (answer.status, found["code"]) == (status, code)
            assert set(found) == {"code", "message", "request_id", "data"}
            assert answer.headers["Connection"] == "close"


async def test_not_ready_while_the_engine_is_not(peer: Peer) -> None:
    peer.engine.ready = False
    async with peer.http.get("/readyz") as answer:
        assert answer.status == 503
    async with peer.http.get("/healthz") as answer:
        assert answer.status == 200


async def test_version_names_the_voices(peer: Peer) -> None:
    async with peer.http.get("/version") as answer:
        found = await answer.json()
    assert found["engine"] == "fake"
    assert found["voices"] == [{"id": "plain", "name": "Plain", "gender": "neutral"}]


async def test_metrics_can_move_to_an_address_of_their_own(served) -> None:
    async with served(metrics_address="127.0.0.1:0") as (server, engine):
        async with Peer.of(server, engine) as peer, peer.http.get("/metrics") as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    "head",
    [
        b"GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /%zz%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api-ws/v1/audio/speech HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"GET /api-ws/v1/audio/speech HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer \xe9\xff\r\n\r\n",
    ],
)
async def test_hostile_heads_are_refused_and_the_server_lives(peer: Peer, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(head)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.0 4")
    async with peer.http.get("/readyz") as ready:
        assert ready.status == 200


async def test_what_is_logged_of_a_path_is_printable(peer: Peer) -> None:
    with capture_logs() as logged:
        async with peer.http.get(URL(f"{peer.server.url}/x%1b%5B2J", encoded=True)) as answer:
            assert answer.status == 404
    (ended,) = [entry for entry in logged if entry["event"] == "request_ended"]
    assert ended["path"].isprintable()
