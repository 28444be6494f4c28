"""The unmodified dashscope SDK against a server with the embedded voice."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cosyserve import Client
from cosyserve.server.app import RunningServer
from support.listening.audio import make_file, speechlike
from support.peers.third_party import drive

from .conftest import TOKEN, Speaking

TEXT = "Hello there. How are you today?"


async def sdk(server: RunningServer, scenario: str, out: Path, **options: Any) -> Any:
    url = server.url.replace("http", "ws", 1) + "/api-ws/v1/inference"
    options = {"voice": "alba", "text": TEXT, **options}
    return await drive("dashscope_sdk.py", url, TOKEN, scenario, out, json.dumps(options))


async def native(server: RunningServer, text: str = TEXT, **parameters: Any) -> bytes:
    """The same speech over this server's own API."""
    async with Client(server.url, token=TOKEN) as client:
        chunks = client.say(text, voice="alba", output_format="pcm", **parameters)
        return b"".join([chunk.data async for chunk in chunks])


def decoded(data: bytes, name: str) -> tuple[np.ndarray, int]:
    """Mono samples and their rate."""
    with av.open(io.BytesIO(data), format="ogg" if name == "opus" else name) as file:
        frames = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
        return np.concatenate(frames), file.streams.audio[0].rate


def kinds(told: Any) -> list[str]:
    return [event["payload"]["output"]["type"] for event in told["events"]]


async def test_call_gives_the_whole_speech(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "call", tmp_path, format="PCM_24000HZ_MONO_16BIT")
    assert (tmp_path / "call.bin").read_bytes() == await native(speaking)
    assert told["last"]["header"]["event"] == "task-finished"
    assert told["last"]["payload"]["usage"]["characters"] == len(TEXT)
    assert told["delay"] > 0


async def test_every_format_of_the_sdk_is_written(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "formats", tmp_path)
    seconds = len(await native(speaking)) / 2 / 24000
    for name, (form, rate) in told["formats"].items():
        data = (tmp_path / f"{name}.bin").read_bytes()
        if form == "pcm":
            length = len(data) / 2 / rate
        else:
            kind = "mp3" if form == "Default" else form
            samples, real_rate = decoded(data, kind)
            assert real_rate == (48000 if kind == "opus" else rate or 22050), name
            length = len(samples) / real_rate
        frames = 0.25 if form == "mp3" and rate == 8000 else 0.1  # a frame there is 72 ms
        assert length == pytest.approx(seconds, abs=frames), name


async def test_text_streams_in_and_sound_comes_before_its_end(
    speaking: RunningServer, tmp_path: Path
) -> None:
    pieces = [
        f"{word} "
        for word in ["Hello", "there.", "How", "are", "you", "today?", "All", "is", "fine."]
    ]
    more = {"format": "PCM_24000HZ_MONO_16BIT", "additional": {"word_timestamp_enabled": True}}
    told = await sdk(speaking, "stream", tmp_path, pieces=pieces, **more)
    assert told["early"] > 0
    assert told["notes"][0] == "open"
    assert told["notes"][-2:] == ["complete", "close"]
    assert kinds(told).count("sentence-begin") == kinds(told).count("sentence-end") == 3
    assert kinds(told).count("sentence-synthesis") == len(told["sizes"])
    assert (tmp_path / "stream.bin").read_bytes() == await native(speaking, "".join(pieces))
    ends = [
        e["payload"]["output"] for e in told["events"] if "end" in e["payload"]["output"]["type"]
    ]
    assert [end["sentence"]["index"] for end in ends] == [0, 1, 2]
    for end in ends:
        for word in end["sentence"]["words"]:
            assert (
                end["original_text"].strip()[word["begin_index"] : word["end_index"]]
                == word["text"]
            )
    words = [word for end in ends for word in end["sentence"]["words"]]
    assert [word["text"].strip(".?") for word in words] == [p.strip(" .?") for p in pieces]
    begins = [word["begin_time"] for word in words]
    assert begins == sorted(begins)
    assert all(word["end_time"] > word["begin_time"] for word in words)


async def test_a_flush_is_heard_while_the_task_goes_on(
    speaking: RunningServer, tmp_path: Path
) -> None:
    told = await sdk(speaking, "flush", tmp_path, pieces=["Hello", "there."])
    assert told["before"] == 0
    assert told["after"] > 0
    assert kinds(told).count("sentence-end") == 2


async def test_a_cancelled_task_ends_at_once(speaking: RunningServer, tmp_path: Path) -> None:
    # So long that it would take the engine seconds, however late the client is with its cancel.
    told = await sdk(speaking, "cancel", tmp_path, text="A long sentence to be cut short. " * 500)
    assert told["heard"]
    assert told["notes"][-2:] == ["complete", "close"]
    page = speaking.services.metrics.render(None)[0].decode()
    assert re.search(r'tasks_total{.*outcome="cancelled",transport="dashscope"} 1.0\n', page)
    assert speaking.services.admission.tasks == 0


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        ({"voice": "nobody"}, "InvalidParameter", "payload.parameters.voice"),
        ({"model": "sambert"}, "ModelNotFound", "payload.model"),
        ({"more": {"speech_rate": 3.0}}, "InvalidParameter", "payload.parameters.rate"),
        ({"more": {"volume": 101}}, "InvalidParameter", "payload.parameters.volume"),
        (
            {"more": {"hot_fix": {"pronunciation": [{"a": "tian1 qi9"}]}}},
            "InvalidParameter",
            "payload.parameters.hot_fix.pronunciation.0",
        ),
    ],
)
async def test_errors_reach_the_caller_and_the_callback(
    speaking: RunningServer, tmp_path: Path, options: dict[str, Any], code: str, named: str
) -> None:
    told = await sdk(speaking, "failure", tmp_path, **options)
    assert told["raised"][0] == "RequestFailure"
    assert named in told["raised"][1]
    assert told["code"] == code
    assert named in told["error"]
    assert told["notes"] == ["error", "close"]


async def test_a_client_that_falls_silent_is_told_so(
    speaking_with: Speaking, tmp_path: Path
) -> None:
    async with speaking_with(dashscope_text_timeout=1.5) as server:
        told = await sdk(server, "silent_client", tmp_path)
    assert "request timeout after 1.5 seconds." in told["error"]
    assert told["notes"][-2:] == ["error", "close"]


async def test_a_pool_speaks_task_after_task(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "pool", tmp_path)
    expected = await native(speaking)
    for number, (size, _, notes) in enumerate(told["sizes"]):
        assert (tmp_path / f"pool{number}.bin").read_bytes() == expected
        assert size == len(expected)
        assert notes == ["complete", "close"]


async def test_the_sdks_newer_session_works_too(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "session", tmp_path, pieces=["Hello ", "there. How ", "are you?"])
    assert told["kinds"][-1] == "task-finished"
    assert told["usage"] == {"characters": len("Hello there. How are you?")}
    expected = await native(speaking, "Hello there. How are you?")
    assert (tmp_path / "session.bin").read_bytes() == expected


async def test_rate_pitch_and_volume_mean_what_they_mean_in_our_api(
    speaking: RunningServer, tmp_path: Path
) -> None:
    more = {"speech_rate": 1.5, "pitch_rate": 0.8, "volume": 25}
    await sdk(speaking, "call", tmp_path, format="PCM_24000HZ_MONO_16BIT", more=more)
    expected = await native(speaking, speed=1.5, pitch=0.8, volume=0.5)
    assert (tmp_path / "call.bin").read_bytes() == expected


async def test_over_http_it_is_the_same_speech(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "http", tmp_path)
    expected = await native(speaking)
    for name in ("stream", "joined", "whole"):
        assert (tmp_path / f"{name}.bin").read_bytes() == expected, name
    assert told["pieces"] > 1
    assert told["sentences"][-1]["index"] == 1
    assert told["usage"] == [{"characters": len(TEXT)}] * 2
    assert all(told["ids"])
    assert told["expires_at"] > time.time()


async def test_over_http_a_failure_is_told(speaking: RunningServer, tmp_path: Path) -> None:
    told = await sdk(speaking, "http_failure", tmp_path)
    status, code, message, request_id = told["whole"]
    assert (status, code) == (404, "InvalidParameter")
    assert "nobody" in message
    assert request_id
    assert "nobody" in told["raised"]


async def test_a_voice_is_enrolled_and_speaks(speaking: RunningServer, tmp_path: Path) -> None:
    clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
    url = "data:audio/wav;base64," + base64.b64encode(clip).decode()
    told = await sdk(speaking, "enrollment", tmp_path, clip=url)
    assert re.fullmatch("cosyvoice-v2-mine-[0-9a-f]{32}", told["made"])
    assert [voice["voice_id"] for voice in told["listed"]] == [told["made"]]
    assert told["queried"]["status"] == "OK"
    assert decoded((tmp_path / "enrolled.bin").read_bytes(), "mp3")[0].size
    assert "404" in told["error"]
    assert told["left"] == []


async def test_phrases_are_replaced(speaking: RunningServer, tmp_path: Path) -> None:
    fix = {"replace": [{"there": "everybody"}]}
    expected = await native(speaking, TEXT.replace("there", "everybody"))
    form = "PCM_24000HZ_MONO_16BIT"
    await sdk(speaking, "call", tmp_path, format=form, more={"hot_fix": fix})
    assert (tmp_path / "call.bin").read_bytes() == expected
    await sdk(speaking, "http", tmp_path, more={"hot_fix": fix})
    assert (tmp_path / "whole.bin").read_bytes() == expected


async def test_words_are_pronounced(speaking: RunningServer, tmp_path: Path) -> None:
    fix = {"pronunciation": [{"there": "ˈɛvɹiˌbɑːdi"}, {"银行": "yin2 hang2"}]}
    form = "PCM_24000HZ_MONO_16BIT"
    await sdk(speaking, "call", tmp_path, format=form, more={"hot_fix": fix})
    spoken = (tmp_path / "call.bin").read_bytes()
    assert spoken != await native(speaking, TEXT)
    rules = [
        {"word": "there", "alphabet": "ipa", "sounds": "ˈɛvɹiˌbɑːdi"},
        {"word": "银行", "alphabet": "py", "sounds": "yin2 hang2"},
    ]
    assert spoken == await native(speaking, TEXT, pronunciations=rules)
    await sdk(speaking, "http", tmp_path, more={"hot_fix": fix})
    assert (tmp_path / "whole.bin").read_bytes() == spoken
