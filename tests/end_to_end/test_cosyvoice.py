"""A real server process on a tiny CosyVoice 2 checkpoint, over the WebSocket.

Its speech is noise; what is tested is the way from text to sound and back to the client.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from cosyserve.__main__ import main
from support.audio import make_file
from support.cosyvoice import RATE, clip
from support.peers import Peer, audio, message, run_task, text
from support.tiny_checkpoint import build

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
"""Servers of these tests share few cores with others; threads that wait for each other would spin."""
WORDS = "hello world, and the two of them. "
MODES = ("fast_replication", "cross_lingual_replication", "natural_language_replication")


@contextmanager
def serving(model: Path, state: Path) -> Iterator[Any]:
    """`state` holds the clips and the prepared voices."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--host", "127.0.0.1",
         "--token", "alice=alice-secret", "--model", str(model), "--device", "cpu",
         "--references", str(state / "clips"), "--voice-cache", str(state / "voices")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ONE_THREAD,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        raise AssertionError(process.communicate()[1])
    try:
        yield SimpleNamespace(url=line.split()[-1], pid=process.pid)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def tiny(model: Path, state: Path) -> Iterator[Any]:
    with serving(model, state) as server:
        yield server


@pytest.fixture
async def client(tiny: Any) -> AsyncIterator[Peer]:
    async with Peer.of(tiny, None) as peer:  # type: ignore[arg-type]
        yield peer


async def upload(peer: Peer) -> str:
    """The same clip, whoever asks; its id."""
    return await peer.upload(make_file(clip(), RATE, "wav", "pcm_s16le"), "hello world.")


async def speak(peer: Peer, pieces: list[str], **parameters: object) -> bytes:
    async with peer.socket() as socket:
        await socket.send(run_task("t", sample_rate=RATE, **parameters))
        for piece in pieces:
            await socket.send(text("continue-task", "t", piece))
        await socket.send(message("finish-task", "t"))
        return audio(await socket.until("task-finished"))


async def engine_stat(peer: Peer, name: str) -> float:
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    found = re.search(rf"^cosyserve_engine_{name} (\S+)$", page, re.MULTILINE)
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
        await socket.send(run_task("t", reference_audio_id=clip_id, debug=True))
        await socket.send(text("continue-task", "t", WORDS + "and the other hello"))
        got = await socket.until("result-generated")
        await socket.send(text("finish-task", "t", " and the end."))
        got += await socket.until("task-finished")
    assert len(audio(got)) > RATE
    characters = len(WORDS + "and the other hello and the end.")
    assert got[-1]["payload"]["usage"]["characters"] == characters


async def test_letters_give_the_speech_of_the_whole(client: Peer) -> None:
    clip_id = await upload(client)
    whole = await speak(client, [WORDS], reference_audio_id=clip_id, seed=3)
    letters = await speak(client, list(WORDS), reference_audio_id=clip_id, seed=3)
    assert len(whole) == len(letters)


async def test_barge_in_then_the_next_task(client: Peer) -> None:
    clip_id = await upload(client)
    async with client.socket() as socket:
        await socket.send(run_task("a", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "a", WORDS * 20))
        await socket.until("result-generated", "a")
        await socket.send(message("cancel-task", "a"))
        end = (await socket.until("task-finished", "a"))[-1]
        assert end["payload"]["output"]["finish_reason"] == "cancelled"
        assert await engine_stat(client, "sessions") == 0
        assert await engine_stat(client, "memory_leased_bytes") == 0
        await socket.send(run_task("b", reference_audio_id=clip_id))
        await socket.send(text("finish-task", "b", "hello world."))
        assert audio(await socket.until("task-finished", "b"), "b")


async def test_speed_is_the_engines(client: Peer) -> None:
    clip_id = await upload(client)
    plain, fast = [
        await speak(client, [WORDS], reference_audio_id=clip_id, seed=2, speed=speed)
        for speed in (1.0, 2.0)
    ]
    assert len(fast) == pytest.approx(len(plain) / 2, abs=4 * 480)


async def test_a_clip_that_is_no_voice_is_refused_and_the_server_goes_on(client: Peer) -> None:
    form = aiohttp.FormData()
    form.add_field("file", make_file(0 * clip(), RATE, "wav", "pcm_s16le"), filename="clip.wav")
    form.add_field("text", "hello world.")
    async with client.http.post("/api/v1/audio/reference_audio", data=form) as answer:
        assert answer.status == 422
        assert "silent" in (await answer.json())["message"]
    clip_id = await upload(client)
    assert await speak(client, ["hello world."], reference_audio_id=clip_id)


async def test_a_voice_is_ready_at_once_after_a_restart(
    client: Peer, model: Path, state: Path
) -> None:
    clip_id = await upload(client)
    said = await speak(client, ["hello world."], reference_audio_id=clip_id, seed=5)
    with serving(model, state) as again:
        async with Peer.of(again, None) as peer:
            assert await engine_stat(peer, "voice_disk_hits_total") == 0
            said_again = await speak(peer, ["hello world."], reference_audio_id=clip_id, seed=5)
            assert await engine_stat(peer, "voice_disk_hits_total") == 1
            assert await engine_stat(peer, "voice_misses_total") == 0
    assert len(said_again) == len(said)


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--model", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "llm.pt: missing" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_a_model_can_be_checked_and_converted_and_then_speaks(
    model: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "check", str(model)]) == 0
    assert main(["model", "convert", str(model), str(tmp_path / "converted")]) == 0
    assert "complete" in capsys.readouterr().out
    with serving(tmp_path / "converted", state) as server:
        async with Peer.of(server, None) as peer:
            clip_id = await upload(peer)
            assert await speak(peer, ["hello world."], reference_audio_id=clip_id)
