"""A real server process on a tiny checkpoint of CosyVoice, over the WebSocket.

Its speech is noise; what is tested is the way from text to sound and back to the client.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from cosyserve.__main__ import main
from support.engines import tiny_checkpoint3
from support.engines.cosyvoice import RATE, clip
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
from support.listening.audio import make_file
from support.peers.peers import Peer, audio, run_task, text


@contextmanager
def faultless(model: Path, state: Path) -> Iterator[Serving]:
    """One that meets nothing unexpected."""
    with serving(model=model, state=state) as server:
        yield server
    assert "Traceback" not in server.errors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def tiny(model: Path, state: Path) -> Iterator[Serving]:
    with faultless(model, state) as server:
        yield server


@pytest.fixture
async def client(tiny: Serving) -> AsyncIterator[Peer]:
    async with Peer.of(tiny, None) as peer:  # type: ignore[arg-type]
        yield peer


async def test_three_modes_speak(client: Peer) -> None:
    await three_modes_speak(client)


async def test_a_model_of_cosyvoice_3_speaks(tmp_path: Path) -> None:
    model = tiny_checkpoint3.build(tmp_path / "model")
    with faultless(model, tmp_path) as server:
        async with Peer.of(server, None) as peer:  # type: ignore[arg-type]
            await three_modes_speak(peer, "cosyvoice-v3")
            await letters_give_the_speech_of_the_whole(peer, "cosyvoice-v3")


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
    await letters_give_the_speech_of_the_whole(client)


async def test_barge_in_then_the_next_task(client: Peer) -> None:
    await cancel_then_the_next_task(client, "sessions", "memory_leased_bytes")


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
    with faultless(model, state) as again:
        async with Peer.of(again, None) as peer:
            assert await metric(peer, "cosyserve_engine_voice_disk_hits_total") == 0
            said_again = await speak(peer, ["hello world."], reference_audio_id=clip_id, seed=5)
            assert await metric(peer, "cosyserve_engine_voice_disk_hits_total") == 1
            assert await metric(peer, "cosyserve_engine_voice_misses_total") == 0
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
    with faultless(tmp_path / "converted", state) as server:
        async with Peer.of(server, None) as peer:
            clip_id = await upload(peer)
            assert await speak(peer, ["hello world."], reference_audio_id=clip_id)
