"""The page's files as they are served; what they do is tested in a browser, in tests/page."""

from __future__ import annotations

import re

import aiohttp
import pytest

from cosyserve.server.page.assets import ASSETS, load_page

from ..conftest import Served

PATHS = ["/", *(ASSETS + name for name in load_page(True) if name != "index.html")]


@pytest.mark.parametrize("path", PATHS)
async def test_a_file_needs_no_token_and_is_sent_once(served: Served, path: str) -> None:
    async with served() as (server, _), aiohttp.ClientSession(server.url) as http:
        async with http.get(path) as answer:
            assert answer.status == 200
            body, etag = await answer.read(), answer.headers["ETag"]
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-cache"
        assert len(body) > 100
        async with http.get(path, headers={"If-None-Match": f'"other", {etag}'}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with http.get(path, headers={"If-None-Match": '"other"'}) as answer:
            assert (answer.status, await answer.read()) == (200, body)
        async with http.head(path) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert answer.headers["Content-Type"] in {
                "text/html; charset=utf-8",
                "text/css; charset=utf-8",
                "text/javascript; charset=utf-8",
                "image/svg+xml",
            }


async def test_it_can_be_switched_off(served: Served) -> None:
    async with (
        served(page=False, tokens=()) as (server, _),
        aiohttp.ClientSession(server.url) as http,
    ):
        for path in PATHS:
            async with http.get(path) as answer:
                assert answer.status == 404
                assert (await answer.json())["code"] == "NotFound"


async def test_what_is_not_of_the_page_still_needs_a_token(served: Served) -> None:
    async with served() as (server, _), aiohttp.ClientSession(server.url) as http:
        for path in ("/page/", "/page/nothing.js", "/page/../version", "/index.html"):
            async with http.get(path) as answer:
                assert answer.status == 401
        async with http.post("/") as answer:
            assert answer.status == 405


def test_it_asks_for_a_token_only_where_one_is_needed() -> None:
    with_token, without = (load_page(needs) for needs in (True, False))
    assert b'data-access="token"' in with_token["index.html"].body
    assert b'data-access="open"' in without["index.html"].body
    assert with_token["index.html"].tag != without["index.html"].tag
    assert with_token["app.js"] == without["app.js"]


def test_all_that_it_names_is_there_and_all_that_is_there_is_named() -> None:
    assets = load_page(True)
    html = assets["index.html"].body.decode()
    named = re.findall(r'(?:href|src)="([^"#]+)"', html)
    assert set(named) - {"docs"} == {f"page/{name}" for name in assets if name != "index.html"}
    for name, asset in assets.items():
        if name.endswith(".js"):
            imports = re.findall(r"from '\./([\w.]+)'", asset.body.decode())
            assert set(imports) <= set(assets), name
    ids = re.findall(r"\bid=\"([\w-]+)\"", html)
    assert len(ids) == len(set(ids))


def test_it_stays_small() -> None:
    assert sum(len(asset.body) for asset in load_page(True).values()) < 64 * 1024
