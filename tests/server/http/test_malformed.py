"""What no library can parse: one answer in the dialect's form, one line in the log, nobody's secret in it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from support.peers.peers import PATH, Peer
from support.peers.raw import RawAnswer, head, raw_exchange
from support.peers.tls import self_signed

SECRET = "sk-0123456789abcdef"
NATIVE = {"code", "message", "request_id", "data"}
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
MALFORMED = [
    ("Authorization", "a control", f"Authorization: Bearer {SECRET}\x01"),
    ("Authorization", "a null", f"Authorization: Bearer {SECRET}\0"),
    ("Authorization", "a bare line feed", f"Authorization: Bearer\n {SECRET}"),
    ("Authorization", "a bare return", f"Authorization: {SECRET}\rX: y"),
    ("Authorization", "folded", f"Authorization: Bearer\r\n {SECRET}"),
    ("Authorization", "a blank before the colon", f"Authorization : {SECRET}"),
    ("Authorization", "no colon", f"Authorization {SECRET}"),
    ("Authorization", "very long", f"Authorization: {SECRET}{'x' * 9000}"),
    ("xi-api-key", "a control", f"xi-api-key: {SECRET}\x7f"),
    ("Expect", "any bytes", "Expect: \xff"),
    ("Expect", "a secret", f"Expect: {SECRET}"),
    ("Host", "twice", "Host: y"),
    ("Cookie", "too many", "\r\n".join(f"Cookie: {SECRET}" for _ in range(200))),
]  # fmt: skip


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[EventDict]]:
    """The server's own log lines. Nothing may be in the libraries' but what says that all is well."""
    with capture_logs() as entries:
        yield entries
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


def check_quiet(logged: list[EventDict]) -> None:
    """One line, no traceback, and no value of a header or a URL."""
    (entry,) = logged
    assert entry["log_level"] == "info"
    assert "exc_info" not in entry
    assert SECRET not in str(entry)


def check_refused(answer: RawAnswer, logged: list[EventDict]) -> None:
    assert 400 <= answer.status < 500
    check_quiet(logged)


@pytest.mark.parametrize("line", [each[2] for each in MALFORMED], ids=lambda each: each[:24])
@pytest.mark.parametrize("upgrade", [(), UPGRADE])
async def test_malformed_headers(
    peer: Peer, logged: list[EventDict], line: str, upgrade: tuple[str, ...]
) -> None:
    answer = await raw_exchange(peer.server.port, head(f"GET {PATH}", line, *upgrade))
    check_refused(answer, logged)
    assert set(answer.json) == NATIVE


@pytest.mark.parametrize(
    "line",
    [
        f"GET /v1/models?key={SECRET} x HTTP/1.1",
        f"GET /v1/models?key={SECRET}",
        f"GET /v1/models?key={SECRET} HTTP/3.0",
        f"GET /v1/models?key={SECRET}\x01 HTTP/1.1",
        f"GET /v1/models?key={SECRET}{'x' * 9000} HTTP/1.1",
        f"GET  /v1/models?key={SECRET} HTTP/1.1",
        f"G@T /v1/models?key={SECRET} HTTP/1.1",
        f"XYZ /v1/models?key={SECRET} HTTP/1.1",
    ],
)
async def test_broken_request_lines(peer: Peer, logged: list[EventDict], line: str) -> None:
    data = f"{line}\r\nHost: x\r\nAuthorization: {SECRET}\r\n\r\n".encode("latin-1")
    answer = await raw_exchange(peer.server.port, data)
    check_refused(answer, logged)
    assert "message" in answer.json["error"]


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: x",),
        ("Content-Length: 1", "Content-Length: 2"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
        ("Content-Type: a", f"Content-Type: {SECRET}"),
    ],
)
async def test_bodies_that_have_no_end(
    peer: Peer, logged: list[EventDict], lines: tuple[str, ...]
) -> None:
    answer = await raw_exchange(peer.server.port, head("POST /v1/text-to-speech/plain", *lines))
    check_refused(answer, logged)
    assert "message" in answer.json["detail"]


@pytest.mark.parametrize(
    "kind",
    [
        f"multipart/form-data; boundary={SECRET}\xff",
        "multipart/form-data; boundary*=x'",
        "multipart/form-data; boundary=" + "x" * 1000,
        "multipart/form-data; boundary*0*=utf-99''%ff; boundary*1=b",
        "multipart/form-data;;;;=;=",
        "multipart/\xff",
        "\xff",
    ],
)
async def test_odd_content_types(peer: Peer, logged: list[EventDict], kind: str) -> None:
    lines = ("Authorization: alice-secret", f"Content-Type: {kind}", "Content-Length: 0")
    path = "/api/v1/audio/reference_audio"
    answer = await raw_exchange(peer.server.port, head(f"POST {path}", *lines))
    check_refused(answer, logged)


@pytest.mark.parametrize(
    "lines",
    [
        ("Upgrade: websocket",),
        (*UPGRADE[:3], f"Sec-WebSocket-Key: {SECRET}"),
        (*UPGRADE[:3],),
        (*UPGRADE, "Sec-WebSocket-Version: 12"),
        (*UPGRADE, "Content-Length: 2"),
        (*UPGRADE, "Transfer-Encoding: chunked"),
        (*UPGRADE, f"Sec-WebSocket-Protocol: bearer.{SECRET} {SECRET}"),
    ],
)
async def test_broken_handshakes(
    peer: Peer, logged: list[EventDict], lines: tuple[str, ...]
) -> None:
    lines = ("Authorization: alice-secret", *lines)
    answer = await raw_exchange(peer.server.port, head(f"GET {PATH}", *lines))
    check_refused(answer, logged)
    assert set(answer.json) == NATIVE


@pytest.mark.parametrize("more", [b"Q=", b"\x81\xff" + b"\xff" * 14, b"\x88\x80xxxx"])
@pytest.mark.parametrize("at_end", [False, True])
async def test_what_comes_behind_a_refused_upgrade(
    peer: Peer, logged: list[EventDict], more: bytes, at_end: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(head(f"GET {PATH}", *UPGRADE) + more)
    if at_end:
        writer.write_eof()
    answer = RawAnswer(await asyncio.wait_for(reader.read(), 20))
    writer.close()
    assert answer.status == 401
    assert logged == []


async def test_an_upgrade_over_http_1_0_is_a_plain_request(peer: Peer) -> None:
    upgrade = head(f"GET {PATH}", "Authorization: alice-secret", *UPGRADE)
    answer = await raw_exchange(peer.server.port, upgrade.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.status == 400
    assert "connect with an upgrade" in answer.json["message"]


async def test_a_malformed_frame_behind_an_upgrade_closes_it(
    peer: Peer, logged: list[EventDict]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(head(f"GET {PATH}", "Authorization: alice-secret", *UPGRADE) + b"\xff\xff")
    answer, _, frames = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    writer.close()
    assert RawAnswer(answer).status == 101
    assert frames[:1] + frames[2:4] == b"\x88" + (1002).to_bytes(2, "big")
    assert logged == []


async def test_a_refusal_over_tls(served, tmp_path: Path, logged: list[EventDict]) -> None:
    cert, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=cert)
    async with served(tls_cert=str(cert), tls_key=str(key)) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trust)
        writer.write(head("GET /version", f"Authorization: {SECRET}\x01"))
        answer = RawAnswer(await asyncio.wait_for(reader.read(), 20))
        writer.close()
    check_refused(answer, logged)
    assert set(answer.json) == NATIVE


async def test_the_longest_head_that_is_read(peer: Peer) -> None:
    lines = ("X: " + "x" * 8187, "Y: " + "y" * 7000)
    answer = await raw_exchange(peer.server.port, head("GET /healthz", *lines))
    assert answer.status == 200
    for more in ("X: " + "x" * 8188, "\r\n".join(["X: " + "x" * 8000] * 3)):
        answer = await raw_exchange(peer.server.port, head("GET /healthz", more))
        assert answer.status == 400
        assert "too long; allowed: " in answer.json["message"]


async def test_the_metrics_have_the_same_manners(
    served, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(metrics_address="127.0.0.1:0"):
        (listening,) = [each for each in logged if each["event"] == "metrics_listening"]
        port = int(listening["url"].partition("//")[2].partition(":")[2].partition("/")[0])
        for path in ("/metrics", "//metrics/", "/metrics///"):
            answer = await raw_exchange(port, head(f"GET {path}", host="localhost"))
            assert answer.status == 200
            assert b"Connection: close" in answer.whole
        answer = await raw_exchange(port, head("GET /metricsx", host="localhost"))
        assert answer.status == 404
        assert b"Connection: close" in answer.whole
        logged.clear()
        answer = await raw_exchange(port, head("GET /metrics", f"Authorization: {SECRET}\x01"))
        check_refused(answer, logged)
