"""QwenTtsRealtime of the unmodified dashscope SDK against a server with the embedded voice."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest

from cosyserve import Client
from cosyserve.server.app import RunningServer
from support.peers.third_party import drive

from .conftest import TOKEN, Speaking

TEXT = "Hello there. How are you today?"
RESPONSE = [
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.audio.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
]


async def sdk(server: RunningServer, scenario: str, out: Path, **options: Any) -> Any:
    url = server.url.replace("http", "ws", 1) + "/api-ws/v1/realtime"
    options = {"voice": "alba", **options}
    return await drive("dashscope_realtime.py", url, TOKEN, scenario, out, json.dumps(options))


async def native(server: RunningServer, text: str = TEXT, **parameters: Any) -> bytes:
    """The same speech over this server's own API."""
    async with Client(server.url, token=TOKEN) as client:
        chunks = client.say(text, voice="alba", output_format="pcm", **parameters)
        return b"".join([chunk.data async for chunk in chunks])


@pytest.fixture
async def patient(speaking_with: Speaking) -> AsyncIterator[RunningServer]:
    """Takes no silence of a busy machine for the client's."""
    async with speaking_with(dashscope_realtime_pause=600) as server:
        yield server


async def test_text_streams_in_and_sound_comes_before_its_end(
    patient: RunningServer, tmp_path: Path
) -> None:
    pieces = ["Hello ", "there. ", "How are ", "you ", "today?"]
    told = await sdk(patient, "stream", tmp_path, pieces=pieces)
    assert told["early"] > 0
    assert told["kinds"] == [
        "session.created",
        "session.updated",
        *RESPONSE,
        "session.finished",
    ]
    assert [done["usage"] for done in told["done"]] == [{"characters": len(TEXT)}]
    assert told["closed"] == [1000, None]
    assert all(told["ids"])
    assert told["delay"] > 0
    assert told["last"]["type"] == "session.finished"
    assert (tmp_path / "stream.bin").read_bytes() == await native(patient)


async def test_turns_are_spoken_when_they_are_committed(
    speaking: RunningServer, tmp_path: Path
) -> None:
    texts = [TEXT, "That is all."]
    told = await sdk(speaking, "turns", tmp_path, texts=texts)
    assert [done["status"] for done in told["done"]] == ["completed", "completed"]
    assert told["kinds"].count("input_text_buffer.cleared") == 1
    assert told["kinds"].count("input_text_buffer.committed") == 2
    assert told["errors"] == []
    for number, text in enumerate(texts, 1):
        assert (tmp_path / f"turn{number}.bin").read_bytes() == await native(speaking, text)


async def test_silence_ends_a_text(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "silence", tmp_path, text=TEXT)
    assert [done["status"] for done in told["done"]] == ["completed"]
    assert (tmp_path / "silence.bin").read_bytes() == await native(speaking)


async def test_a_cancelled_response_makes_room_for_the_next(
    patient: RunningServer, tmp_path: Path
) -> None:
    # So long that it would take the engine seconds, however late the client is with its cancel.
    long = "A long sentence to be cut short. " * 500
    told = await sdk(patient, "cancel", tmp_path, text=long, next=TEXT)
    assert [done["status"] for done in told["done"]] == ["cancelled", "completed"]
    assert (tmp_path / "next.bin").read_bytes() == await native(patient)
    assert patient.services.admission.tasks == 0


async def test_rate_pitch_and_volume_mean_what_they_mean_in_our_api(
    speaking: RunningServer, tmp_path: Path
) -> None:
    more = {"speech_rate": 1.5, "pitch_rate": 0.8, "volume": 25}
    await sdk(speaking, "turns", tmp_path, texts=[TEXT], more=more)
    expected = await native(speaking, speed=1.5, pitch=0.8, volume=0.5)
    assert (tmp_path / "turn1.bin").read_bytes() == expected


@pytest.mark.parametrize("name", ["wav", "mp3", "opus"])
async def test_other_formats(speaking: RunningServer, tmp_path: Path, name: str) -> None:
    more = {"audio_format": name, "sample_rate": 16000, "bit_rate": 48, "language_type": "English"}
    await sdk(speaking, "turns", tmp_path, texts=[TEXT], more=more)
    seconds = len(await native(speaking)) / 2 / 24000
    data = io.BytesIO((tmp_path / "turn1.bin").read_bytes())
    with av.open(data, format="ogg" if name == "opus" else name) as file:
        stream = file.streams.audio[0]
        length = sum(frame.samples for frame in file.decode(stream)) / stream.rate
    assert length == pytest.approx(seconds, abs=0.1)


async def test_errors_reach_the_callback(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "turns", tmp_path, texts=[TEXT], more={"volume": 101})
    (error,) = told["errors"]
    assert error["code"] == "InvalidParameter"
    assert "session.volume" in error["message"]
    assert told["done"][0]["status"] == "completed"  # as the greeting had it
    told = await sdk(speaking, "turns", tmp_path, texts=[TEXT], voice="nobody")
    (error,) = told["errors"]
    assert error["code"] == "InvalidParameter"
    assert told["done"][0]["status"] == "failed"
