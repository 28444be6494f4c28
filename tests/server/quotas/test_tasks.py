"""A token's quota holds through every dialect, and its clients hear of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from cosyserve.server.quotas.book import Use
from support.engines.fake_engine import WORD_SECONDS
from support.peers.conversations import Tasks
from support.peers.last_word import WHOLE, WORDS, counted, say
from support.peers.peers import GOOD, PATH, Peer, message, run_task, text
from support.peers.ways import HTTP, SOCKETS, Way

CODES: Final = {
    "websocket": "QuotaExceeded",
    "rest": "QuotaExceeded",
    "dashscope": "Throttling.AllocationQuota",
    "dashscope_realtime": "Throttling.AllocationQuota",
    "elevenlabs": "quota_exceeded",
    "openai": "insufficient_quota",
    "vllm_omni": "QuotaExceeded",
}
LENGTH: Final = len(WORDS)
LIMITED: Final = ("alice=alice-secret daily_characters=20", "bob=bob-secret")


def code(way: Way) -> str:
    """What the way says. A batch tells of each text by itself."""
    status = "429 " if way in HTTP and way.name != "vllm_omni batch" else ""
    return status + CODES[way.transport]


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_every_way_counts_alike(served, way: Way) -> None:
    async with served(tokens=LIMITED) as (server, engine), Peer.of(server, engine) as alice:
        quotas = server.services.quotas
        async with way.open(alice) as conversation:
            assert len((await say(conversation)).sound) == WHOLE
            await server.services.admission.wait_idle()
            used = quotas.use("alice")
            assert LENGTH <= used.characters <= LENGTH + 1  # ElevenLabs' texts end with a blank
            assert used.seconds == pytest.approx(3 * WORD_SECONDS)
        async with way.open(alice) as conversation:
            assert (await say(conversation)).failed == code(way)
        await server.services.admission.wait_idle()
        assert quotas.use("alice").characters == used.characters
        assert counted(alice)[way.transport, "throttled", "QuotaExceeded"] == 1
        async with Peer.of(server, engine, "bob-secret") as bob:
            for _ in range(2):
                async with way.open(bob) as another:
                    assert len((await say(another)).sound) == WHOLE


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_speech_ends_where_the_seconds_end(served, way: Way) -> None:
    seconds = 100
    async with (
        served(daily_seconds=seconds) as (server, engine),
        Peer.of(server, engine) as alice,
        way.open(alice) as conversation,
    ):
        server.services.quotas.add("alice", seconds=seconds - 1.5 * WORD_SECONDS)
        heard = await say(conversation)
        assert heard.failed in (code(way), CODES[way.transport], None)
        if heard.failed is None:  # nothing but its missing end can tell it
            assert heard.closed == 1
        assert len(heard.sound) in (0, WHOLE * 2 // 3)
        await server.services.admission.wait_idle()
        assert server.services.quotas.use("alice").seconds >= seconds
        assert not engine.open
        async with way.open(alice) as another:
            assert (await say(another)).failed == code(way)


async def test_text_that_runs_into_the_limit_ends_its_task_and_nothing_else(served) -> None:
    async with served(tokens=LIMITED) as (server, engine), Peer.of(server, engine) as alice:
        async with alice.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", "one two. "))
            await socket.until("result-generated", "t")
            await socket.send(text("continue-task", "t", "three four five "))
            *_, failed = await socket.until("task-failed", "t")
            assert failed["header"]["error_code"] == "QuotaExceeded"
            assert "20 characters a day and has 11 left" in failed["header"]["error_message"]
            await socket.send(run_task("u"), text("continue-task", "u", "six "))
            await socket.send(message("finish-task", "u"))
            await socket.until("task-finished", "u")


async def test_a_cancelled_task_counts_what_was_spoken(served) -> None:
    async with served(tokens=LIMITED) as (server, engine), Peer.of(server, engine) as alice:
        async with alice.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", "one two. three"))
            for _ in range(2):
                await socket.until("result-generated", "t")
            await socket.send(message("cancel-task", "t"))
            *_, finished = await socket.until("task-finished", "t")
        await server.services.admission.wait_idle()
        spoken = len("one two.")
        assert server.services.quotas.use("alice").characters == spoken
        assert finished["payload"]["usage"]["quota"]["characters_left"] == 20 - spoken


async def test_a_failed_task_counts_what_was_spoken(served) -> None:
    async with served(tokens=LIMITED) as (server, engine), Peer.of(server, engine) as alice:
        async with SOCKETS[0].open(alice) as conversation:
            engine.error = RuntimeError("no voice")
            assert (await say(conversation)).failed == "InternalError"
        await server.services.admission.wait_idle()
        assert server.services.quotas.use("alice") == Use()


async def test_a_client_hears_what_is_left(served) -> None:
    async with (
        served(tokens=("alice=alice-secret daily_characters=100 daily_seconds=9",)) as (
            server,
            engine,
        ),
        Peer.of(server, engine) as alice,
        alice.socket() as socket,
    ):
        await socket.send(run_task("t"), message("finish-task", "t", input={"text": WORDS}))
        started, *_, finished = await socket.until("task-finished", "t")
        quota = finished["payload"]["usage"]["quota"]
        assert quota["characters_left"] == 100 - LENGTH
        assert quota["seconds_left"] == pytest.approx(9 - 3 * WORD_SECONDS)
        assert 0 < quota["resets_in"] <= 86_400
        assert started["payload"]["usage"]["quota"]["seconds_left"] == 9
        body = {"model": "CosyVoice2-0.5B", "input": {**GOOD, "text": WORDS}}
        async with alice.http.post("/api/v1/audio/speech", json=body) as answer:
            assert answer.headers["RateLimit-Policy"] == (
                '"characters";q=100;w=86400, "seconds";q=9;w=86400'
            )
            assert answer.headers["RateLimit"].startswith(f'"characters";r={100 - 2 * LENGTH};t=')
        server.services.quotas.add("alice", 100)
        async with alice.http.post("/api/v1/audio/speech", json=body) as answer:
            assert answer.status == 429
            wait = int(answer.headers["Retry-After"])
            assert wait == pytest.approx(server.services.quotas.day.left, abs=60)
            assert f"try again in {wait} s" in (await answer.json())["message"]


async def test_without_a_quota_nothing_is_told(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"), message("finish-task", "t", input={"text": WORDS}))
        started, *_, finished = await socket.until("task-finished", "t")
        assert (started["payload"], finished["payload"]["usage"]) == ({}, {"characters": LENGTH})
    async with peer.http.get("/version") as answer:
        assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)


async def test_a_restart_gives_nobody_a_new_day(served, tmp_path: Path) -> None:
    for expected in (None, "QuotaExceeded"):
        async with served(tokens=LIMITED) as (server, engine), Peer.of(server, engine) as alice:
            async with SOCKETS[0].open(alice) as conversation:
                assert (await say(conversation)).failed == expected
    assert (tmp_path / "references" / "quotas.json").is_file()


async def test_the_token_file_changes_quotas_while_the_server_runs(served, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("alice=alice-secret daily_characters=5\n")
    settings: dict[str, Any] = {"tokens": (), "token_file": str(file), "daily_seconds": 50}
    async with served(**settings) as (server, engine), Peer.of(server, engine) as alice:
        async with alice.socket(PATH) as socket:
            talk = Tasks(socket, run_task)
            assert (await say(talk)).failed == "QuotaExceeded"
            page = server.services.metrics.render()[0].decode()
            assert 'quota_used_ratio{token="alice",unit="characters"} 0.0' in page
            file.write_text("alice=alice-secret daily_characters=26 daily_seconds=none\n")
            await server.token_file.read()
            assert (await say(talk)).failed is None
            page = server.services.metrics.render()[0].decode()
            assert 'quota_used_ratio{token="alice",unit="characters"} 0.5' in page
            assert 'unit="seconds"' not in page
