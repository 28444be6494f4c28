"""Clips from other servers: from which, and within what bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cosyserve.protocol.errors import InvalidParameter, PayloadTooLarge
from cosyserve.server.settings import SettingsError, load_settings
from cosyserve.server.voices.fetch import ClipFetcher
from support.peers.tls import self_signed

CLIP = bytes(range(256)) * 10


class Elsewhere:
    """Another server, over TLS on 127.0.0.1. heads: of the requests that it got."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self.port = port
        self.trust = trust
        self.heads: list[Any] = []
        self.never = asyncio.Event()

    def url(self, path: str = "/clip", host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"

    @asynccontextmanager
    async def fetcher(
        self, *hosts: str, most: int = 10_000, seconds: float = 30
    ) -> AsyncIterator[ClipFetcher]:
        listed = hosts or (f"127.0.0.1:{self.port}",)
        fetcher = ClipFetcher(listed, most, seconds, self.trust)
        yield fetcher
        fetcher.close()


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Elsewhere]:
    certificate, key = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))

    async def answer(request: web.Request) -> web.StreamResponse:
        there.heads.append(request.headers)
        match request.path:
            case "/clip":
                return web.Response(body=CLIP)
            case "/moved":
                raise web.HTTPFound("/clip")
            case "/chunks":
                response = web.StreamResponse()
                await response.prepare(request)
                await response.write(CLIP)
                await response.write(CLIP)
                return response
            case "/never":
                await there.never.wait()
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
    await site.start()
    there = Elsewhere(runner.addresses[0][1], trust)
    yield there
    there.never.set()
    await runner.cleanup()


async def test_a_clip_comes_from_a_listed_host(elsewhere: Elsewhere) -> None:
    async with elsewhere.fetcher() as fetcher:
        assert await fetcher.fetch(elsewhere.url()) == CLIP
    assert "Authorization" not in elsewhere.heads[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (lambda there: "http://127.0.0.1/clip", "no https"),
        (lambda there: "ftp://127.0.0.1/clip", "no https"),
        (lambda there: "/etc/passwd", "no https"),
        (lambda there: "https://[::1/clip", "no https"),
        (lambda there: f"https://me:word@127.0.0.1:{there.port}/clip", "no https"),
        (lambda there: "https://127.0.0.1/clip", "nothing there"),
        (lambda there: there.url(host="127.0.0.2"), "nothing there"),
        (lambda there: there.url(host="[::ffff:127.0.0.1]"), "nothing there"),
        (lambda there: there.url(host="localhost"), "nothing there"),
        (lambda there: there.url("/moved"), "302"),
        (lambda there: there.url("/none"), "404"),
    ],
)
async def test_nothing_else_is_fetched(
    elsewhere: Elsewhere, url: Callable[[Elsewhere], str], message: str
) -> None:
    async with elsewhere.fetcher() as fetcher:
        with pytest.raises(InvalidParameter, match=message):
            await fetcher.fetch(url(elsewhere))
    assert len(elsewhere.heads) == (message in ("302", "404"))


async def test_a_listed_name_may_not_stand_for_a_private_address(elsewhere: Elsewhere) -> None:
    async with elsewhere.fetcher(f"localhost:{elsewhere.port}") as fetcher:
        with pytest.raises(InvalidParameter, match="could not be fetched"):
            await fetcher.fetch(elsewhere.url(host="localhost"))
    assert elsewhere.heads == []


async def test_unless_that_address_is_listed_too(elsewhere: Elsewhere) -> None:
    elsewhere.trust.check_hostname = False  # the certificate is for the address
    async with elsewhere.fetcher(f"localhost:{elsewhere.port}", "127.0.0.1") as fetcher:
        assert await fetcher.fetch(elsewhere.url(host="localhost")) == CLIP


async def test_another_servers_certificate_is_checked(elsewhere: Elsewhere) -> None:
    fetcher = ClipFetcher((f"127.0.0.1:{elsewhere.port}",), 10_000, 30)
    with pytest.raises(InvalidParameter, match="could not be fetched"):
        await fetcher.fetch(elsewhere.url())
    fetcher.close()


@pytest.mark.parametrize(("path", "most"), [("/clip", len(CLIP) - 1), ("/chunks", len(CLIP))])
async def test_a_clip_is_bounded(elsewhere: Elsewhere, path: str, most: int) -> None:
    async with elsewhere.fetcher(most=most) as fetcher:
        with pytest.raises(PayloadTooLarge, match=str(most)):
            await fetcher.fetch(elsewhere.url(path))


async def test_so_is_its_time(elsewhere: Elsewhere) -> None:
    async with elsewhere.fetcher(seconds=0.05) as fetcher:
        with pytest.raises(InvalidParameter, match="within"):
            await fetcher.fetch(elsewhere.url("/never"))


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("none", ()),
        ("Clips.example, 10.0.0.5:8443", ("clips.example", "10.0.0.5:8443")),
        (["a.example:443", "[::1]:9"], ("a.example", "[::1]:9")),
    ],
)
def test_hosts_are_a_setting(given: Any, hosts: tuple[str, ...]) -> None:
    assert load_settings({"enrollment_hosts": given}).enrollment_hosts == hosts


@pytest.mark.parametrize("given", ["https://a.example", "a/b", "a:0", "a:70000", "*"])
def test_what_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="HOST"):
        load_settings({"enrollment_hosts": given})
