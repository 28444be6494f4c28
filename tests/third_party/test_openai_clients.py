"""Programs that speak the OpenAI dialect: Open WebUI's calls, LiveKit's and Pipecat's classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.app import RunningServer
from support.listening.audio import Floats, decode
from support.listening.same_speech import RATE, likeness, native_speech
from support.peers.third_party import drive

TEXT = "Hello there. This is a test of speech."
TOKEN = "clients-secret"
VOICE = "hanna"
"""What alloy stands for."""


@pytest.mark.parametrize("prefix", ["/v1", ""])
async def test_open_webui(speaking: RunningServer, tmp_path: Path, prefix: str) -> None:
    found = await drive("open_webui.py", speaking.url + prefix, TOKEN, tmp_path)
    assert found["status"] == 200
    sound, rate = decode((tmp_path / "speech.mp3").read_bytes(), "mp3", RATE)
    assert likeness(sound, rate, await native_speech(speaking.url, TOKEN, TEXT, VOICE)) > 0.98
    assert "tts-1" in found["listed"]["models"]
    assert found["listed"]["voices"]["alba"] == "Alba"
    assert found["listed"]["voices"]["alloy"] == "alloy"
    assert found["without_token"] == {"models": 401, "voices": 401}
    assert found["refused"] == 404
    assert "nobody" in found["detail"]


async def test_livekit(speaking: RunningServer, tmp_path: Path) -> None:
    found = await drive("livekit_openai.py", f"{speaking.url}/v1", TOKEN, tmp_path)
    assert set(found["rates"]) == {RATE}
    assert found["refused"] == 401
    native = await native_speech(speaking.url, TOKEN, TEXT, VOICE)
    for name, least in {
        "audio_pcm": 0.999,
        "audio_wav": 0.999,
        "sse_mp3": 0.98,
        "audio_mp3": 0.98,
    }.items():
        assert likeness(raw(tmp_path / f"{name}.raw"), RATE, native) > least, name
    # LiveKit's decoder loses the first packet, 20 ms, of any Opus in Ogg.
    assert likeness(raw(tmp_path / "audio_opus.raw"), RATE, native[RATE // 50 :]) > 0.98
    slow = await native_speech(
        speaking.url,
        TOKEN,
        TEXT,
        VOICE,
        mode="natural_language_replication",
        instruct="Speak slowly.",
    )
    assert likeness(raw(tmp_path / "sse_pcm.raw"), RATE, slow) > 0.999
    assert len(slow) > 1.1 * len(native)
    assert abs(len(raw(tmp_path / "adapted.raw")) - len(native)) < 0.5 * RATE


async def test_pipecat(speaking: RunningServer, tmp_path: Path) -> None:
    found = await drive("pipecat_openai.py", f"{speaking.url}/v1", TOKEN, tmp_path)
    assert found["rates"] == [RATE]
    assert found["errors"] == []
    native = await native_speech(speaking.url, TOKEN, TEXT, VOICE)
    assert likeness(raw(tmp_path / "speech.raw"), RATE, native) > 0.999
    assert found["refused"]["bytes"] == 0
    assert "401" in found["refused"]["errors"][0]


def raw(file: Path) -> Floats:
    return decode(file.read_bytes(), "pcm", RATE)[0]
