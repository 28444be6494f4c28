"""The openai SDK, unmodified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosyserve.server.app import RunningServer
from support.listening.audio import decode
from support.listening.same_speech import RATE, likeness, native_speech
from support.peers.third_party import drive

TEXT = "Hello there. This is a test of speech."
TOKEN = "clients-secret"
FRAME = 0.1  # seconds that a codec's frames and its delay may add


@pytest.fixture
async def driven(speaking: RunningServer, tmp_path: Path) -> tuple[Any, Any, Path]:
    """What the driver reports, the native API's speech, and where the driver's is."""
    report = await drive("openai_sdk.py", f"{speaking.url}/v1", TOKEN, tmp_path)
    return report, await native_speech(speaking.url, TOKEN, TEXT, "hanna"), tmp_path


async def test_the_sdk_speaks_lists_and_tells_errors(driven: tuple[Any, Any, Path]) -> None:
    report, native, folder = driven
    check_sound(folder, native)
    check_events(report["events"], native)
    assert report["streamed"]["chunks"] > 1
    assert report["streamed"]["content_type"] == "audio/mpeg"
    assert report["streamed"]["speed"] == "2"
    assert report["streamed"]["request_id"]
    assert {"tts-1", "gpt-4o-mini-tts", "cosyvoice-v2"} <= set(report["models"])
    assert report["model"] == "gpt-4o-mini-tts-2025-12-15"
    check_failures(report["failures"])


def check_sound(folder: Path, native: Any) -> None:
    lossless = ["whole.wav", "whole.flac", "whole.pcm", "streamed.wav", "events.pcm"]
    for name in [*lossless, "async.pcm", "async.flac"]:
        samples, rate = decode((folder / name).read_bytes(), name.rpartition(".")[2], RATE)
        assert rate == RATE, name
        np.testing.assert_array_equal(samples, native, name)
    for name in ("whole.mp3", "whole.opus", "whole.aac"):
        samples, rate = decode((folder / name).read_bytes(), name.rpartition(".")[2], RATE)
        assert abs(len(samples) / rate - len(native) / RATE) < FRAME, name
        assert likeness(samples, rate, native) > 0.98, name


def check_events(events: list[Any], native: Any) -> None:
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    spoken = round(25 * len(native) / RATE)
    assert events[-1] == {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": len(TEXT),
            "output_tokens": spoken,
            "total_tokens": len(TEXT) + spoken,
        },
    }


def check_failures(failures: dict[str, Any]) -> None:
    expected = {
        "token": ("AuthenticationError", 401, "invalid_api_key", None),
        "model": ("NotFoundError", 404, "model_not_found", "model"),
        "voice": ("NotFoundError", 404, "voice_not_found", "voice"),
        "speed": ("BadRequestError", 400, "invalid_value", "speed"),
        "format": ("BadRequestError", 400, "invalid_value", "response_format"),
        "long": ("APIStatusError", 413, "string_above_max_length", "input"),
        "model_id": ("NotFoundError", 404, "model_not_found", "model"),
        "nowhere": ("NotFoundError", 404, "unknown_url", None),
        "busy": ("RateLimitError", 429, "rate_limit_exceeded", None),
    }
    found = {
        name: (each["class"], each["status"], each["code"], each["param"])
        for name, each in failures.items()
    }
    assert found == expected
