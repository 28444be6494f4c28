"""A real server whose speech model runs in vLLM, on a tiny checkpoint, over the WebSocket.

Its speech is noise; what is tested is the way from text to sound, and that the server outlives vLLM.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import vllm
from support.audio import make_file
from support.cosyvoice import RATE, clip
from support.peers import Peer, audio, message, run_task, text
from support.processes import descendants
from support.tiny_checkpoint import build

pytestmark = pytest.mark.vllm

WORDS = "hello world, and the two of them. "
MODES = ("fast_replication", "cross_lingual_replication", "natural_language_replication")
STARTED = 300.0
"""Seconds for vLLM to start on a busy machine, generously."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    vllm.required()
    folder = tmp_path_factory.mktemp("vllm")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a process less, which starts sooner
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--host", "127.0.0.1",
         "--token", "alice=alice-secret", "--model", str(build(folder / "model")),
         "--device", "cpu", "--lm-backend", "vllm", "--lm-streams", "16", "--vllm-enforce-eager",
         "--vllm-max-model-len", "1024", "--vllm-kv-cache-bytes", "64MiB",
         "--vllm-folder", str(folder / "lm"), "--references", str(folder / "clips"),
         "--voice-cache", str(folder / "voices")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        raise AssertionError(line + process.communicate()[1])
    try:
        yield SimpleNamespace(url=line.split()[-1], pid=process.pid)
    finally:
        below = [pid for pid, name in descendants(process.pid).items() if "VLLM" in name]
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert below
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


@pytest.fixture
async def client(serving: Any) -> AsyncIterator[Peer]:
    async with Peer.of(serving, None) as peer:  # type: ignore[arg-type]
        await until_ready(peer)
        yield peer


async def ready(peer: Peer) -> bool:
    async with peer.http.get("/readyz") as answer:
        return answer.status == 200


async def until_ready(peer: Peer) -> None:
    async with asyncio.timeout(STARTED):
        while not await ready(peer):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def upload(peer: Peer) -> str:
    return await peer.upload(make_file(clip(), RATE, "wav", "pcm_s16le"), "hello world.")


async def speak(peer: Peer, pieces: list[str], **parameters: object) -> bytes:
    async with peer.socket() as socket:
        await socket.send(run_task("t", sample_rate=RATE, **parameters))
        for piece in pieces:
            await socket.send(text("continue-task", "t", piece))
        await socket.send(message("finish-task", "t"))
        return audio(await socket.until("task-finished"))


async def value(peer: Peer, name: str) -> float:
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    assert found, name
    return float(found[1])


async def test_three_modes_speak(client: Peer) -> None:
    clip_id = await upload(client)
    sounds = []
    for mode in MODES:
        instruct = {"instruct": "with joy"} if mode == MODES[2] else {}
        sounds.append(
            await speak(client, [WORDS], reference_audio_id=clip_id, mode=mode, seed=1, **instruct)
        )
    assert all(len(sound) > RATE for sound in sounds)
    assert len(set(sounds)) == 3


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
        assert await value(client, "cosyserve_engine_lm_streams_inside") == 1
        await socket.send(text("finish-task", "t", "other world."))
        assert audio(await socket.until("task-finished"))


async def test_letters_give_the_speech_of_the_whole(client: Peer) -> None:
    clip_id = await upload(client)
    whole = await speak(client, [WORDS], reference_audio_id=clip_id, seed=3)
    letters = await speak(client, list(WORDS), reference_audio_id=clip_id, seed=3)
    assert len(whole) == len(letters)


async def test_cancel_frees_the_request_and_the_next_task_speaks(client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("a", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "a", WORDS * 20))
        await socket.until("result-generated", "a")
        await socket.send(message("cancel-task", "a"))
        end = (await socket.until("task-finished", "a"))[-1]
        assert end["payload"]["output"]["finish_reason"] == "cancelled"
        for name in ("sessions", "lm_streams", "lm_streams_inside", "memory_leased_bytes"):
            assert await value(client, f"cosyserve_engine_{name}") == 0, name
        await socket.send(run_task("b", reference_audio_id=clip_id))
        await socket.send(text("finish-task", "b", "hello world."))
        assert audio(await socket.until("task-finished", "b"), "b")
    assert await value(client, "vllm:num_requests_running") == 0


async def test_a_client_that_vanishes_frees_its_request(client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", WORDS * 20))
        await socket.until("result-generated")
        socket.raw.transport.abort()
    async with asyncio.timeout(30):
        while await value(client, "cosyserve_engine_lm_streams") > 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    free = await value(client, "cosyserve_engine_lm_cache_blocks_free")
    assert free == await value(client, "cosyserve_engine_lm_cache_blocks")


async def test_vllms_own_metrics_are_on_the_page(client: Peer) -> None:
    async with client.http.get("/metrics") as answer:
        page = await answer.text()
    names = re.findall(r"^# TYPE (vllm:\S+)", page, re.MULTILINE)
    assert "vllm:kv_cache_usage_perc" in names
    assert len(names) == len(set(names))
    assert await value(client, "vllm:generation_tokens_total") > 0
    assert await value(client, "cosyserve_engine_lm_engine_up") == 1


async def test_the_server_outlives_its_engine(serving: Any, client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("t", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "t", WORDS * 20))
        await socket.until("result-generated")
        (core,) = [pid for pid, name in descendants(serving.pid).items() if "EngineCor" in name]
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
    assert await value(client, "cosyserve_engine_lm_engine_deaths_total") == 1
    assert await value(client, "cosyserve_engine_lm_engine_rebuilds_total") == 1
    assert await value(client, "vllm:generation_tokens_total") > 0
