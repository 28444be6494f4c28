"""The reference over HTTP."""

from __future__ import annotations

import base64
import hashlib
import re

import aiohttp
import pytest

from cosyserve.server.page.assets import docs_policy
from support.peers.peers import Peer


async def test_everybody_may_read_it(peer: Peer) -> None:
    async with aiohttp.ClientSession(peer.server.url) as http, http.get("/docs") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<h1>cosyserve API</h1>" in text
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


@pytest.mark.parametrize("name", ["openapi.yaml", "asyncapi.yaml"])
async def test_the_contracts_are_beside_it(peer: Peer, name: str) -> None:
    async with peer.http.get(f"/docs/{name}") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/yaml"
        assert (await answer.text()).startswith(name[:-5] + ":")


async def test_a_copy_is_not_sent_again(peer: Peer) -> None:
    async with peer.http.get("/docs") as first:
        tag = first.headers["ETag"]
    async with peer.http.get("/docs", headers={"If-None-Match": tag}) as again:
        assert again.status == 304
        assert again.headers["ETag"] == tag
        assert await again.read() == b""
    async with peer.http.get("/docs", headers={"If-None-Match": '"old"'}) as other:
        assert other.status == 200


@pytest.mark.parametrize(("accepted", "sent"), [("gzip, br", "gzip"), ("identity", None)])
async def test_it_is_packed_for_who_takes_that(peer: Peer, accepted: str, sent: str | None) -> None:
    async with peer.http.get("/docs", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("Content-Encoding") == sent
        assert "</html>" in await answer.text()


async def test_there_is_nothing_else_there(peer: Peer) -> None:
    async with peer.http.get("/docs/..%2Fsettings.py") as answer:
        assert answer.status == 404
    async with peer.http.post("/docs") as answer:
        assert answer.status == 405


def test_a_page_without_style_lets_none_in() -> None:
    assert "style-src 'none'" in docs_policy(b"<p>plain")
