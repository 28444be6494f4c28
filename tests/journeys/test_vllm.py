"""A real server whose speech model runs in vLLM, on a tiny checkpoint, over the WebSocket.

Its speech is noise; what is tested is the way from text to sound, and that the server outlives vLLM.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.engines import vllm
from support.engines.cosyvoice import RATE
from support.engines.cosyvoice_server import (
    WORDS,
    Serving,
    cancel_then_the_next_task,
    letters_give_the_speech_of_the_whole,
    metric,
    serving,
    speak,
    three_modes_speak,
    upload,
)
from support.engines.tiny_checkpoint import build
from support.peers.peers import Peer, audio, run_task, text
from support.tools.process_tree import descendants

pytestmark = pytest.mark.vllm

STARTED = 300.0
"""Seconds for vLLM to start on a busy machine, generously."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    vllm.required()
    folder = tmp_path_factory.mktemp("vllm")
    flags = (
        "--lm-backend", "vllm", "--lm-streams", "16", "--vllm-enforce-eager",
        "--vllm-max-model-len", "1024", "--vllm-kv-cache-bytes", "64MiB",
        "--vllm-folder", str(folder / "lm"),
    )  # fmt: skip
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a process less, which starts sooner
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    model = build(folder / "model")
    with serving(*flags, model=model, state=folder, **environment) as server:
        yield server
        below = [pid for pid, name in descendants(server.pid).items() if "VLLM" in name]
    assert below
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Peer]:
    async with Peer.of(server, None) as peer:  # type: ignore[arg-type]
        await until_ready(peer)
        yield peer


async def ready(peer: Peer) -> bool:
    async with peer.http.get("/readyz") as answer:
        return answer.status == 200


async def until_ready(peer: Peer) -> None:
    async with asyncio.timeout(STARTED):
        while not await ready(peer):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_three_modes_speak(client: Peer) -> None:
    await three_modes_speak(client)


async def test_speech_comes_before_the_text_ends(client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", WORDS + "and the other hello"))
        got = await socket.until("result-generated")
        assert audio(got)
        await socket.send(text("finish-task", "t", " and the end."))
        got += await socket.until("task-finished")
    assert len(audio(got)) > RATE


async def test_speech_comes_within_a_sentence_that_has_not_ended(client: Peer) -> None:
    """The speech model itself is fed while it speaks: there is no sentence end to cut at."""
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", "hello world and the two of them and the "))
        assert audio(await socket.until("result-generated"))
        assert await metric(client, "cosyserve_engine_lm_streams_inside") == 1
        await socket.send(text("finish-task", "t", "other world."))
        assert audio(await socket.until("task-finished"))


async def test_letters_give_the_speech_of_the_whole(client: Peer) -> None:
    await letters_give_the_speech_of_the_whole(client)


async def test_cancel_frees_the_request_and_the_next_task_speaks(client: Peer) -> None:
    freed = ("sessions", "lm_streams", "lm_streams_inside", "memory_leased_bytes")
    await cancel_then_the_next_task(client, *freed)
    assert await metric(client, "vllm:num_requests_running") == 0


async def test_a_client_that_vanishes_frees_its_request(client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", WORDS * 20))
        await socket.until("result-generated")
        socket.raw.transport.abort()
    async with asyncio.timeout(30):
        while await metric(client, "cosyserve_engine_lm_streams") > 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    free = await metric(client, "cosyserve_engine_lm_cache_blocks_free")
    assert free == await metric(client, "cosyserve_engine_lm_cache_blocks")


async def test_vllms_own_metrics_are_on_the_page(client: Peer) -> None:
    async with client.http.get("/metrics") as answer:
        page = await answer.text()
    names = re.findall(r"^# TYPE (vllm:\S+)", page, re.MULTILINE)
    assert "vllm:kv_cache_usage_perc" in names
    assert len(names) == len(set(names))
    assert await metric(client, "vllm:generation_tokens_total") > 0
    assert await metric(client, "cosyserve_engine_lm_engine_up") == 1


async def test_the_server_outlives_its_engine(server: Serving, client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", WORDS * 20))
        await socket.until("result-generated")
        (core,) = [pid for pid, name in descendants(server.pid).items() if "EngineCor" in name]
        os.kill(core, signal.SIGKILL)
        async with asyncio.timeout(5):
            failed = (await socket.until("task-failed"))[-1]
        assert failed["header"]["error_code"] == "EngineUnavailable"
        assert not await ready(client)
        await socket.send(run_task("u", reference_audio_id=clip_id))
        refused = (await socket.until("task-failed", "u"))[-1]
        assert refused["header"]["error_code"] == "EngineUnavailable"
    await until_ready(client)
    assert await speak(client, [WORDS], reference_audio_id=clip_id)
    assert await metric(client, "cosyserve_engine_lm_engine_deaths_total") == 1
    assert await metric(client, "cosyserve_engine_lm_engine_rebuilds_total") == 1
    assert await metric(client, "vllm:generation_tokens_total") > 0
