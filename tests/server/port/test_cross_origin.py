"""Pages of other origins that may read the answers of the HTTP side: preflights, headers, errors too."""

from __future__ import annotations

import pytest

from cosyserve.server.settings import load_settings
from support.peers.peers import PATH
from support.peers.raw import RawAnswer, head, raw_exchange

PAGE = "https://app.example"
ALICE = "Authorization: Bearer alice-secret"
NO_BODY = ("Content-Type: text/plain", "Content-Length: 0")
DOORS = {
    "/version": "GET",
    "/api/v1/audio/reference_audio": "GET",
    "/api/v1/audio/speech": "POST",
    "/v1/audio/speech": "POST",
    "/v1/audio/voices": "GET",
    "/v1/text-to-speech/plain": "POST",
    "/v1/text-to-speech/plain/stream/with-timestamps": "POST",
    "/v1/voices": "GET",
    "/nowhere": "GET",
}


def preflight(path: str, *lines: str, origin: str = PAGE) -> bytes:
    asked = ("Access-Control-Request-Method: POST", *lines)
    return head(f"OPTIONS {path}", f"Origin: {origin}", *asked, host="voice.example")


async def ask(port: int, path: str, *lines: str, origin: str = PAGE) -> RawAnswer:
    more = NO_BODY if DOORS[path] == "POST" else ()
    request = head(
        f"{DOORS[path]} {path}", f"Origin: {origin}", *lines, *more, host="voice.example"
    )
    return await raw_exchange(port, request)


def cors(answer: RawAnswer) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-")
    }


READABLE = {"access-control-allow-origin": PAGE, "access-control-expose-headers": "*"}


@pytest.mark.parametrize("path", DOORS)
async def test_a_preflight_needs_no_token(served, path: str) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        names = "authorization,content-type,xi-api-key,x-stainless-lang"
        request = preflight(path, f"Access-Control-Request-Headers: {names}")
        answer = await raw_exchange(server.port, request)
        assert answer.status == 204
        assert cors(answer) == {
            **READABLE,
            "access-control-allow-methods": "GET, HEAD, POST, PATCH, DELETE",
            "access-control-allow-headers": names,
            "access-control-max-age": "7200",
        }
        assert answer.headers["Vary"] == "Origin"


async def test_what_is_no_preflight_of_an_allowed_page(served) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        for request in (
            preflight("/v1/audio/speech", origin="https://evil.example"),
            preflight("/v1/audio/speech", origin="null"),
            head("OPTIONS /v1/audio/speech", f"Origin: {PAGE}", host="voice.example"),
            head("OPTIONS /v1/audio/speech", "Access-Control-Request-Method: POST", host="a"),
        ):
            answer = await raw_exchange(server.port, request)
            assert answer.status == 401
            assert "access-control-allow-methods" not in cors(answer)


async def test_names_of_headers_that_are_none_are_not_repeated(served) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        request = preflight("/v1/models", "Access-Control-Request-Headers: a b, <c>")
        answer = await raw_exchange(server.port, request)
        assert answer.status == 204
        assert "access-control-allow-headers" not in cors(answer)


@pytest.mark.parametrize("path", DOORS)
async def test_every_answer_can_be_read(served, path: str) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        for lines in ((ALICE,), ()):
            answer = await ask(server.port, path, *lines)
            assert cors(answer) == READABLE, answer.status
            assert "Origin" in answer.headers["Vary"]
            assert (answer.status == 401) == (not lines)


@pytest.mark.parametrize("path", DOORS)
async def test_other_pages_and_other_clients_get_no_word_of_it(served, path: str) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        for origin in (
            "http://app.example",
            "https://app.example:444",
            "null",
            "https://x.example",
        ):
            answer = await ask(server.port, path, ALICE, origin=origin)
            assert cors(answer) == {}
            assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", DOORS)
async def test_it_is_off_by_default(served, path: str) -> None:
    async with served() as (server, _engine):
        answer = await ask(server.port, path, ALICE)
        assert cors(answer) == {}
        assert "Vary" not in answer.headers
        assert (await raw_exchange(server.port, preflight(path))).status == 401


@pytest.mark.parametrize("tokens", [("alice=alice-secret",), ()])
async def test_a_star_is_every_origin(served, tokens) -> None:
    async with served(tokens=tokens, allowed_origins="*") as (server, _engine):
        for origin in (PAGE, "null", "http://evil.example"):
            answer = await ask(server.port, "/version", ALICE, origin=origin)
            assert answer.status == 200
            assert cors(answer) == {**READABLE, "access-control-allow-origin": "*"}
            assert "Vary" not in answer.headers
            answer = await raw_exchange(server.port, preflight("/version", origin=origin))
            assert answer.status == 204


async def test_the_errors_of_every_layer_can_be_read(served) -> None:
    """Of the switch, of aiohttp's parser, of a limit, and of a method that no route has."""
    async with served(allowed_origins=PAGE, max_tasks_per_token=1) as (server, _engine):
        from_page = (f"Origin: {PAGE}", ALICE)
        for request, status in (
            (head(f"GET /v1/models?{'a' * 9000}", *from_page), 400),
            (head("POST /v1/audio/speech", *from_page, "Content-Length: x"), 400),
            (head("DELETE /v1/audio/speech", *from_page), 405),
            (head("POST /v1/audio/speech", *from_page, "Content-Length: 999999999"), 413),
        ):
            answer = await raw_exchange(server.port, request)
            assert answer.status == status
            assert cors(answer) == READABLE
        alice = server.services.authenticator.by_header("alice-secret")
        assert alice is not None
        with server.services.admission.enter(alice):
            body = b'{"model": "tts-1", "voice": "plain", "input": "Hello."}'
            more = ("Content-Type: application/json", f"Content-Length: {len(body)}")
            request = head("POST /v1/audio/speech", *from_page, *more) + body
            answer = await raw_exchange(server.port, request)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert cors(answer) == READABLE


async def test_the_files_can_be_read_and_vary_by_both(served) -> None:
    async with served(allowed_origins=PAGE) as (server, _engine):
        request = head("GET /docs/openapi.yaml", f"Origin: {PAGE}")
        answer = await raw_exchange(server.port, request)
        assert cors(answer) == READABLE
        assert answer.headers["Vary"] == "Accept-Encoding, Origin"


async def test_the_same_list_admits_websockets_where_there_is_no_token(served) -> None:
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for allowed, status in ((PAGE, 101), ("*", 101), ("https://other.example", 403)):
        async with served(tokens=(), allowed_origins=allowed) as (server, _engine):
            host = f"127.0.0.1:{server.port}"
            request = head(f"GET {PATH}", f"Origin: {PAGE}", *upgrade, host=host)
            assert (await raw_exchange(server.port, request)).status == status


def test_the_operator_is_told_what_a_star_without_tokens_means() -> None:
    told = load_settings({"allowed_origins": "*"}).notices
    assert any("every web page" in notice for notice in told)
    assert not any("every web page" in each for each in load_settings({}).notices)
