"""Tokens come and go while the server runs, and what runs goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from cosyserve.server.app import RunningServer
from cosyserve.server.auth import Caller
from cosyserve.server.settings import SettingsError, load_settings
from support.peers.peers import PATH, Peer, message, run_task, text

ALICE, BOB, CAROL = ("=".join((name, f"{name}-secret")) for name in ("alice", "bob", "carol"))
PATHS = [PATH, "/api-ws/v1/inference", "/v1/text-to-speech/plain/stream-input",
         "/v1/text-to-speech/plain/multi-stream-input", "/v1/audio/speech/stream"]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    put(path, f"{ALICE}\n{BOB}\n")
    return path


def put(file: Path, content: str | bytes | None) -> None:
    """None: no file."""
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


@asynccontextmanager
async def peers(served: Any, file: Path, **settings: Any) -> AsyncIterator[tuple[Peer, Peer]]:
    """Alice's and Bob's ends of one server."""
    settings = {"tokens": (), "token_file": str(file), **settings}
    async with served(**settings) as (server, engine):
        async with Peer.of(server, engine) as alice, Peer.of(server, engine, "bob-secret") as bob:
            yield alice, bob


async def statuses(server: RunningServer, *names: str) -> list[int]:
    found = []
    async with aiohttp.ClientSession(server.url) as http:
        for name in names:
            headers = {"Authorization": f"Bearer {name}-secret"}
            async with http.get("/version", headers=headers) as answer:
                found.append(answer.status)
    return found


def told(closed: pytest.ExceptionInfo[ConnectionClosed]) -> tuple[int, str]:
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


GONE = (1008, "the token is not valid any more")


@pytest.mark.parametrize("path", PATHS)
async def test_a_removed_token_loses_its_idle_connections(served, file: Path, path: str) -> None:
    async with peers(served, file) as (alice, bob):
        async with alice.socket(path) as lost, bob.socket(path) as kept:
            put(file, f"{BOB}\n{CAROL}\n")
            with capture_logs() as logs:
                await alice.server.token_file.read()
            with pytest.raises(ConnectionClosed) as closed:
                await lost.raw.recv()
            assert told(closed) == GONE
            await (await kept.raw.ping())
        assert await statuses(alice.server, "alice", "bob", "carol") == [401, 200, 200]
    (line,) = (each for each in logs if each["event"] == "tokens_read")
    assert (line["added"], line["removed"]) == (["carol"], ["alice"])


async def test_what_runs_goes_on_and_nothing_new_begins(served, file: Path) -> None:
    async with peers(served, file) as (alice, _bob), alice.socket() as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one "))
        await socket.until("result-generated")
        put(file, f"{BOB}\n")
        await alice.server.token_file.read()
        await socket.send(run_task("u"))
        (refused,) = await socket.until("task-failed", "u")
        assert refused["header"]["error_code"] == "Unauthorized"
        await socket.send(text("continue-task", "t", "two "), message("finish-task", "t"))
        await socket.until("task-finished", "t")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.raw.recv()
        assert told(closed) == GONE


async def test_another_secret_is_another_token(served, file: Path) -> None:
    async with peers(served, file) as (alice, bob), alice.socket() as lost, bob.socket() as kept:
        put(file, f"alice=another-secret\n{BOB}\n")
        await alice.server.token_file.read()
        with pytest.raises(ConnectionClosed) as closed:
            await lost.raw.recv()
        assert told(closed) == GONE
        await (await kept.raw.ping())
        assert await statuses(alice.server, "alice", "another", "bob") == [401, 200, 200]


async def test_tokens_from_elsewhere_stay(served, file: Path) -> None:
    async with peers(served, file, tokens=CAROL) as (alice, _bob):
        put(file, "")
        await alice.server.token_file.read()
        assert await statuses(alice.server, "alice", "bob", "carol") == [401, 401, 200]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{ALICE}\nbob=hunter2\n", "line 2: a token is malformed"),
        (f"{ALICE}\n{BOB}\nalice=another-secret\n", "line 3: two tokens are named 'alice'"),
        (f"{ALICE}\n\nbob=alice-secret\n", "line 3: 'alice' and 'bob' are the same secret"),
        (f"{ALICE}\ncarol=carol-secret\n", "line 2: two tokens are named 'carol'"),
        (b"\xff", "not UTF-8"),
        (None, "cannot read"),
    ],
)
async def test_a_broken_file_changes_nothing(
    served, file: Path, content: str | bytes | None, reason: str
) -> None:
    async with peers(served, file, tokens=CAROL) as (alice, _bob), alice.socket() as socket:
        put(file, content)
        with capture_logs() as logs:
            await alice.server.token_file.read()
        (line,) = (each for each in logs if each["log_level"] == "error")
        assert line["event"] == "tokens_kept"
        assert reason in line["reason"]
        assert str(file) in line["reason"]
        assert not any(secret in line["reason"] for secret in ("hunter2", "-secret"))
        await (await socket.raw.ping())
        assert await statuses(alice.server, "alice", "bob", "carol") == [200, 200, 200]


async def test_an_empty_file_does_not_open_the_server(served, file: Path) -> None:
    async with peers(served, file) as (alice, _bob):
        put(file, "# nobody\n")
        await alice.server.token_file.read()
        assert await statuses(alice.server, "alice", "nobody") == [200, 401]
    with pytest.raises(SettingsError, match=r"token_file: .* has no token in it"):
        load_settings({"token_file": str(file)})


async def test_a_change_of_the_file_is_seen(served, file: Path) -> None:
    async with peers(served, file) as (alice, _bob), alice.socket() as socket:
        watching = asyncio.create_task(alice.server.token_file.watch(0.001))
        try:
            put(file, f"{BOB}\n")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.raw.recv()
            assert told(closed) == GONE
        finally:
            watching.cancel()


async def test_metrics_know_the_new_names(served, file: Path) -> None:
    async with peers(served, file) as (alice, _bob):
        put(file, f"{CAROL}\n")
        await alice.server.token_file.read()
        async with Peer.of(alice.server, alice.engine, "carol-secret") as carol:
            body = {"model": "tts-1", "voice": "plain", "input": "Hello."}
            async with carol.http.post("/v1/audio/speech", json=body) as answer:
                assert answer.status == 200
                await answer.read()
        page, _ = alice.server.services.metrics.render()
        assert b'token_tasks_total{token="carol"} 1.0' in page


async def test_the_only_token_left_may_have_all_places(served, file: Path) -> None:
    async with peers(served, file, max_connections=2) as (alice, _bob):
        put(file, f"{BOB}\n")
        await alice.server.token_file.read()
        admission, bob = alice.server.services.admission, Caller("bob")
        with admission.connect(bob), admission.connect(bob):
            assert admission.connections == 2
