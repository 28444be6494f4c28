"""A real server on a tiny CosyVoice 2 checkpoint, and what it must do wherever its speech model runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.engines.cosyvoice import RATE, clip
from support.listening.audio import make_file
from support.peers.peers import Peer, audio, message, run_task, text

WORDS = "hello world, and the two of them. "
MODES = ("fast_replication", "cross_lingual_replication", "natural_language_replication")


@dataclass
class Serving:
    """errors: all that it wrote to stderr, once it has ended."""

    url: str
    pid: int
    errors: str = ""


@contextmanager
def serving(*flags: str, model: Path, state: Path, **environment: str) -> Iterator[Serving]:
    """A process of its own; it must end well. state: holds the clips and the prepared voices."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--host", "127.0.0.1",
         "--token", "alice=alice-secret", "--model", str(model), "--device", "cpu",
         "--references", str(state / "clips"), "--voice-folder", str(state / "voices"), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # It shares few cores with others; threads that wait for each other would spin.
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        raise AssertionError(line + process.communicate()[1])
    server = Serving(line.split()[-1], process.pid)
    try:
        yield server
    finally:
        process.terminate()
        _, server.errors = process.communicate(timeout=60)
    assert process.returncode == 0, server.errors


async def upload(peer: Peer) -> str:
    """The same clip, whoever asks; its id."""
    return await peer.upload(make_file(clip(), RATE, "wav", "pcm_s16le"), "hello world.")


async def speak(peer: Peer, pieces: list[str], **parameters: Any) -> bytes:
    async with peer.socket() as socket:
        await socket.send(run_task("t", sample_rate=RATE, **parameters))
        for piece in pieces:
            await socket.send(text("continue-task", "t", piece))
        await socket.send(message("finish-task", "t"))
        return audio(await socket.until("task-finished"))


async def metric(peer: Peer, name: str) -> float:
    """The first value of that name."""
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    assert found, name
    return float(found[1])


async def three_modes_speak(peer: Peer, model: str = "cosyvoice-v2") -> None:
    """Each in its own way. model: by which the client asks for it."""
    clip_id = await upload(peer)
    sounds = []
    for mode in MODES:
        instruct = {"instruct": "with joy"} if mode == MODES[2] else {}
        options = {"model": model, "mode": mode, "seed": 1, **instruct}
        sounds.append(await speak(peer, [WORDS], reference_audio_id=clip_id, **options))
    assert all(len(sound) > RATE for sound in sounds)
    assert len(set(sounds)) == 3


async def letters_give_the_speech_of_the_whole(peer: Peer, model: str = "cosyvoice-v2") -> None:
    clip_id = await upload(peer)
    options = {"model": model, "reference_audio_id": clip_id, "seed": 3}
    whole = await speak(peer, [WORDS], **options)
    letters = await speak(peer, list(WORDS), **options)
    assert len(whole) == len(letters)


async def cancel_then_the_next_task(peer: Peer, *freed: str) -> None:
    """freed: of the engine's metrics, those that are 0 as soon as the client is told of the end."""
    clip_id = await upload(peer)
    async with peer.socket() as socket:
        await socket.send(run_task("a", reference_audio_id=clip_id))
        await socket.send(text("continue-task", "a", WORDS * 20))
        await socket.until("result-generated", "a")
        await socket.send(message("cancel-task", "a"))
        end = (await socket.until("task-finished", "a"))[-1]
        assert end["payload"]["output"]["finish_reason"] == "cancelled"
        for name in freed:
            assert await metric(peer, f"cosyserve_engine_{name}") == 0, name
        await socket.send(run_task("b", reference_audio_id=clip_id))
        await socket.send(text("finish-task", "b", "hello world."))
        assert audio(await socket.until("task-finished", "b"), "b")
