"""Bodies over the wire: what is refused before a byte of it is read, and what is never unpacked."""

from __future__ import annotations

import asyncio
import gzip
import http.client
from contextlib import closing, suppress

import pytest

from support.peers.peers import Peer
from support.peers.raw import head, raw_exchange

UPLOAD = "/api/v1/audio/reference_audio"
CALLS = (
    "/api/v1/audio/speech",
    "/v1/audio/speech",
    "/audio/speech",
    "/v1/text-to-speech/plain",
    "/v1/text-to-speech/plain/stream",
    "/v1/text-to-speech/plain/with-timestamps",
    "/v1/text-to-speech/plain/stream/with-timestamps",
)
FORM = "Content-Type: multipart/form-data; boundary=b"
ALICE = "Authorization: Bearer alice-secret"


def told(answer: object) -> str:
    return str(answer).lower()


@pytest.mark.parametrize("path", [*CALLS, UPLOAD])
@pytest.mark.parametrize("more", ["Expect: 100-continue", "Content-Encoding: gzip"])
async def test_without_a_token_no_body_is_asked_for_or_read(
    peer: Peer, path: str, more: str
) -> None:
    answer = await raw_exchange(
        peer.server.port, head(f"POST {path}", FORM, "Content-Length: 1000000", more)
    )
    assert answer.status == 401


@pytest.mark.parametrize("path", [*CALLS, UPLOAD])
async def test_the_end_of_a_refusal_waits_for_no_body(served, path: str) -> None:
    async with served(close_timeout=600) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"POST {path}", FORM, "Content-Length: 1000000") + b"some of it")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 401 ")
        writer.close()
        while len(server.services.sockets):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


async def test_who_goes_on_sending_a_refused_body_is_cut_off(served) -> None:
    async with served(close_timeout=0.1) as (server, _engine):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"POST {UPLOAD}", FORM, "Content-Length: 1000000000"))
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        with suppress(ConnectionError):
            while len(server.services.sockets):
                writer.write(bytes(64 * 1024))
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()


@pytest.mark.parametrize("token", ["", "alice-secret"], ids=["unknown", "too large"])
async def test_a_client_that_reads_when_it_has_sent_all_hears_the_refusal(
    served, token: str
) -> None:
    def upload(port: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": token}
        with closing(connection):
            connection.request("POST", UPLOAD, bytes(8_000_000), headers)
            return connection.getresponse().status

    async with served(max_upload_bytes=1024, close_timeout=30) as (server, _engine):
        status = await asyncio.to_thread(upload, server.port)
    assert status == (413 if token else 401)


@pytest.mark.parametrize("path", [*CALLS, UPLOAD])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"])
async def test_a_compressed_body_is_refused_unread(peer: Peer, path: str, encoding: str) -> None:
    lines = (ALICE, FORM, f"Content-Encoding: {encoding}", "Content-Length: 1000000")
    answer = await raw_exchange(peer.server.port, head(f"POST {path}", *lines))
    assert answer.status == 415
    assert "content-encoding" in told(answer.json)
    assert "allowed: identity" in told(answer.json)


@pytest.mark.parametrize("path", [*CALLS, UPLOAD])
async def test_a_body_that_says_it_is_too_long_is_refused_unread(served, path: str) -> None:
    async with served(max_message_bytes=1024, max_upload_bytes=1024) as (server, _engine):
        lines = (ALICE, FORM, "Content-Length: 1000000", "Expect: 100-continue")
        answer = await raw_exchange(server.port, head(f"POST {path}", *lines))
    assert answer.status == 413
    assert "1024 bytes" in told(answer.json)


async def test_a_body_of_unsaid_length_is_read_up_to_the_limit(served) -> None:
    async with served(max_message_bytes=1024) as (server, _engine):
        lines = (ALICE, "Transfer-Encoding: chunked")
        chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
        answer = await raw_exchange(server.port, head(f"POST {CALLS[0]}", *lines), chunk, chunk)
    assert answer.status == 413


async def test_a_body_that_is_awaited_is_asked_for_once(peer: Peer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(head(f"POST {CALLS[0]}", ALICE, "Content-Length: 2", "Expect: 100-continue"))
    assert (
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        == b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    writer.write(b"{}")
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"2\r\n{}x\r\n", b"-1\r\n"])
async def test_a_body_in_broken_chunks_is_one_quiet_refusal(
    peer: Peer, chunk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(
        head(f"POST {CALLS[0]}", ALICE, "Transfer-Encoding: chunked", "Expect: 100-continue")
    )
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.write(chunk)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"InvalidParameter"' in answer
    assert not caplog.records


@pytest.mark.parametrize("path", [*CALLS, UPLOAD])
async def test_a_broken_or_huge_gzip_logs_nothing(
    peer: Peer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for body in (b"not packed", gzip.compress(bytes(4_000_000))):
        for token in ((), (ALICE,)):
            lines = (*token, FORM, "Content-Encoding: gzip", f"Content-Length: {len(body)}")
            answer = await raw_exchange(peer.server.port, head(f"POST {path}", *lines), body)
            assert answer.status == (415 if token else 401)
    assert not caplog.records


async def test_a_form_in_the_urls_encoding_is_no_upload(peer: Peer) -> None:
    kind = "Content-Type: application/x-www-form-urlencoded"
    for path, status in ((UPLOAD, 415), *((call, 400) for call in CALLS)):
        body = b"a=&" * 100_000
        lines = (ALICE, kind, f"Content-Length: {len(body)}")
        answer = await raw_exchange(peer.server.port, head(f"POST {path}", *lines), body)
        assert answer.status == status
