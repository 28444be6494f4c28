"""Pages of other origins, in the browser of somebody whose machine runs a server without tokens."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from cosyserve.server.settings import SettingsError, load_settings
from support.peers.peers import PATH
from support.peers.raw import RawAnswer, head, raw_exchange

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
ADDRESSES = {
    PATH: (101, "GET", UPGRADE),
    "/api-ws/v1/inference": (101, "GET", UPGRADE),
    "/v1/text-to-speech/plain/stream-input": (101, "GET", UPGRADE),
    "/v1/audio/speech/stream": (101, "GET", UPGRADE),
    "/": (200, "GET", ()),
    "/version": (200, "GET", ()),
    "/api/v1/audio/reference_audio": (200, "GET", ()),
    "/api/v1/audio/reference_audio/x": (404, "DELETE", ()),
    "/api/v1/audio/speech": (400, "POST", ("Content-Type: text/plain", "Content-Length: 0")),
    "/v1/audio/speech": (400, "POST", ("Content-Type: text/plain", "Content-Length: 0")),
    "/v1/text-to-speech/plain": (400, "POST", ("Content-Type: text/plain", "Content-Length: 0")),
}
FOREIGN = ["http://evil.example", "null", "file://", "http://localhost.evil.example:{port}",
           "http://localhost:1", "http://127.0.0.1", "http://[::1]:{port}", "chrome-extension://x",
           "http://127.0.0.1:{port}.evil.example", "http://user@127.0.0.1:{port}", "\xff"]  # fmt: skip
REBOUND = ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example",
           "10.0.0.1", "0.0.0.0", "", "127.0.0.1:{port}@evil.example", "\xff"]  # fmt: skip


async def ask(port: int, path: str, host: str, *lines: str) -> tuple[RawAnswer, int]:
    """The answer, and the status that a request has which is allowed."""
    status, method, more = ADDRESSES[path]
    told = [line.replace("{port}", str(port)) for line in lines]
    host = host.replace("{port}", str(port))
    return await raw_exchange(port, head(f"{method} {path}", *told, *more, host=host)), status


@pytest.mark.parametrize("path", ADDRESSES)
async def test_foreign_pages_are_refused(served, path: str) -> None:
    async with served(tokens=()) as (server, _engine):
        for origin in FOREIGN:
            answer, _ = await ask(server.port, path, "127.0.0.1:{port}", f"Origin: {origin}")
            assert answer.status == 403, origin
            assert b"allowed: its own pages, the origins in allowed_origins" in answer.whole
        two = ("Origin: http://127.0.0.1:{port}", "Origin: http://evil.example")
        assert (await ask(server.port, path, "127.0.0.1:{port}", *two))[0].status == 403


@pytest.mark.parametrize("path", ADDRESSES)
async def test_names_that_were_made_to_resolve_here_are_refused(served, path: str) -> None:
    async with served(tokens=()) as (server, _engine):
        for host in REBOUND:
            answer, _ = await ask(server.port, path, host, f"Origin: http://{host}")
            assert answer.status == 403, host
            answer, _ = await ask(server.port, path, host)
            assert answer.status == 403, host
            assert b"allowed: localhost, a loopback address" in answer.whole


@pytest.mark.parametrize("path", ADDRESSES)
async def test_own_pages_and_other_clients_pass(served, path: str) -> None:
    async with served(tokens=()) as (server, _engine):
        for host in (
            "127.0.0.1:{port}",
            "localhost:{port}",
            "LOCALHOST:9",
            "[::1]:{port}",
            "localhost",
        ):
            for lines in ((), (f"Origin: http://{host}",), (f"Origin: https://{host}",)):
                answer, status = await ask(server.port, path, host, *lines)
                assert answer.status == status, (host, lines)


@pytest.mark.parametrize("path", ADDRESSES)
async def test_further_origins_can_be_allowed(served, path: str) -> None:
    origins = "https://voice.example, http://localhost:3000"
    async with served(tokens=(), allowed_origins=origins) as (server, _engine):
        for host, origin, refused in (
            ("127.0.0.1:{port}", "https://voice.example", False),
            ("127.0.0.1:{port}", "http://localhost:3000", False),
            ("voice.example", "https://voice.example", False),
            ("127.0.0.1:{port}", "http://voice.example", True),
            ("127.0.0.1:{port}", "https://voice.example:444", True),
            ("other.example", "https://voice.example", True),
        ):
            answer, status = await ask(server.port, path, host, f"Origin: {origin}")
            assert answer.status == (403 if refused else status), (host, origin)


OPEN = {"tokens": (), "host": "0.0.0.0", "allow_open": True}


@pytest.mark.parametrize("path", ADDRESSES)
async def test_a_server_open_to_everybody_is_open_to_its_own_pages_only(served, path: str) -> None:
    async with served(**OPEN) as (server, _engine):
        for host in ("tts.example:{port}", "10.0.0.1:{port}", "127.0.0.1:{port}"):
            for lines in ((), (f"Origin: http://{host}",), (f"Origin: https://{host}",)):
                answer, status = await ask(server.port, path, host, *lines)
                assert answer.status == status, (host, lines)
            for origin in ("http://evil.example", "null", "http://tts.example", "http://10.0.0.1"):
                answer, _ = await ask(server.port, path, host, f"Origin: {origin}")
                assert answer.status == 403, (host, origin)


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_open_server_whose_names_are_known_has_no_others(served, path: str) -> None:
    async with served(**OPEN, allowed_origins="https://voice.example") as (server, _engine):
        for host, refused in (
            ("voice.example", False),
            ("10.0.0.1:{port}", False),
            ("[fd00::1]:{port}", False),
            ("cosyserve:{port}", False),
            ("localhost:{port}", False),
            ("evil.example:{port}", True),
            ("10.0.0.1.evil.example", True),
        ):
            answer, status = await ask(server.port, path, host)
            assert answer.status == (403 if refused else status), host
        answer, status = await ask(server.port, path, "proxied:1", "Origin: https://voice.example")
        assert answer.status == status


@pytest.mark.parametrize("tokens", [(), ("alice=alice-secret",)])
async def test_pages_see_no_metrics_at_an_address_of_their_own(served, tokens) -> None:
    with capture_logs() as logs:
        async with served(tokens=tokens, metrics_address="127.0.0.1:0"):
            (port,) = (urlsplit(each["url"]).port for each in logs if "metrics" in each["event"])
            assert port is not None
            for host, lines, status in (
                ("localhost:9", (), 200),
                (f"127.0.0.1:{port}", (f"Origin: http://127.0.0.1:{port}",), 200),
                ("evil.example", (), 403),
                ("localhost", ("Origin: http://evil.example",), 403),
                ("localhost", UPGRADE, 404),
            ):
                answer = await raw_exchange(port, head("GET /metrics", *lines, host=host))
                assert answer.status == status, (host, lines)


@pytest.mark.parametrize("path", ADDRESSES)
async def test_with_tokens_every_name_and_origin_passes(served, path: str) -> None:
    async with served() as (server, _engine):
        lines = ("Authorization: alice-secret", "Origin: https://elsewhere.example")
        answer, status = await ask(server.port, path, "voice.example", *lines)
        assert answer.status == status


@pytest.mark.parametrize(
    ("path", "key"), [("/v1/audio/speech", "error"), ("/v1/text-to-speech/plain", "detail")]
)
async def test_the_refusal_is_in_the_dialects_form(served, path: str, key: str) -> None:
    async with served(tokens=()) as (server, _engine):
        answer, _ = await ask(server.port, path, "evil.example")
        assert answer.json[key]["message"].startswith("Host: ")


@pytest.mark.parametrize(
    "value", ["*, https://a", "voice.example", "ftp://a", "http://a/b", "null", "http://"]
)
def test_origins_that_are_none(value: str) -> None:
    with pytest.raises(SettingsError, match="allowed_origins"):
        load_settings({"allowed_origins": value})
