"""LiveKit's and Pipecat's unmodified ElevenLabs plugins against a server with the embedded voice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosyserve.server.app import RunningServer
from support.listening.audio import Floats, decode
from support.listening.same_speech import RATE, likeness, native_speech
from support.peers.third_party import drive

from .conftest import TOKEN

TEXT = "Hello there, you. I have 42 dogs. They bark all night long."
WORDS = TEXT.split()
OPTIONS = json.dumps({"voice": "alba", "text": TEXT})


async def test_livekit(speaking: RunningServer, tmp_path: Path) -> None:
    told = await drive("livekit_elevenlabs.py", f"{speaking.url}/v1", TOKEN, tmp_path, OPTIONS)
    native = await native_speech(speaking.url, TOKEN, TEXT)
    assert ["alba", "Alba", "premade"] in told["voices"]
    for name, report in {
        "streamed": told["streamed"],  # its last word was said only after sound was heard
        "again": told["again"],  # on the connection of a stream that was interrupted
        "both0": told["both"][0],
        "both1": told["both"][1],
    }.items():
        assert np.array_equal(raw(tmp_path, name), native), name
        assert_timed(report["words"], len(native) / RATE)
    # LiveKit ends a whole answer with 10 ms of silence.
    assert np.array_equal(raw(tmp_path, "whole")[: len(native)], native)
    for name in ("mp3_22050_32", "opus_48000_64"):
        rate = told[name]["rate"]
        assert rate == int(name.split("_")[1])
        # LiveKit's decoder loses the first packet, 20 ms, of any Opus in Ogg.
        heard = native[RATE // 50 :] if name.startswith("opus") else native
        assert likeness(raw(tmp_path, name), rate, heard) > 0.95, name
        assert_timed(told[name]["words"], len(native) / RATE)

    faster = await native_speech(speaking.url, TOKEN, TEXT, speed=1.2)
    for name in ("by_word", "by_word_again"):
        assert np.array_equal(raw(tmp_path, name), faster), name
        assert_timed(told[name]["words"], len(faster) / RATE)
    assert told["interrupted"] > 0
    assert told["interrupted_by_word"] > 0
    assert tasks(speaking, "cancelled") == 1  # that last one, whose text no flush had ended
    assert speaking.services.admission.tasks == 0

    assert told["no_voice"]["whole"] == 404
    assert told["no_voice"]["streamed"][0] == "APIStatusError"
    assert told["no_token"]["whole"] == told["no_token"]["streamed"][1] == 401
    assert told["default_voice"] == RATE  # hosted ids stand for one of the engine's own voices
    assert len(raw(tmp_path, "default")) > RATE


async def test_pipecat(speaking: RunningServer, tmp_path: Path) -> None:
    told = await drive("pipecat_elevenlabs.py", speaking.url, TOKEN, tmp_path, OPTIONS)
    native = await native_speech(speaking.url, TOKEN, TEXT)
    for name in ("sentences", "tokens"):
        assert np.array_equal(raw(tmp_path, name), native), name
        assert told[name]["errors"] == []
        assert_in_order(told[name]["words"], len(native) / RATE)
    assert np.array_equal(raw(tmp_path, "second"), native)
    assert told["interrupted"]["errors"] == []
    assert_in_order(told["interrupted"]["words"], len(native) / RATE)
    assert tasks(speaking, "cancelled") == 1
    faster = await native_speech(speaking.url, TOKEN, TEXT, speed=1.2)
    assert np.array_equal(raw(tmp_path, "faster"), faster)
    assert_in_order(told["faster"]["words"], len(faster) / RATE)

    sentences = ["Hello there, you.", "I have 42 dogs.", "They bark all night long."]
    whole = [await native_speech(speaking.url, TOKEN, each) for each in sentences]
    assert np.array_equal(raw(tmp_path, "http"), np.concatenate(whole))
    assert told["http"]["errors"] == []
    assert [word for word, _ in told["http"]["words"]] == WORDS
    assert told["no_voice"]["bytes"] == told["no_token"]["bytes"] == 0
    assert "no audio" in told["no_voice"]["errors"][0]
    assert "401" in told["no_token"]["errors"][0]
    assert speaking.services.admission.tasks == 0


def raw(folder: Path, name: str) -> Floats:
    return decode((folder / f"{name}.raw").read_bytes(), "pcm", RATE)[0]


def tasks(server: RunningServer, outcome: str) -> int:
    """How many tasks of this dialect ended so."""
    page = server.services.metrics.render(None)[0].decode()
    lines = [line for line in page.splitlines() if line.startswith("cosyserve_tasks_total{")]
    of_these = [line for line in lines if 'elevenlabs"' in line and f'"{outcome}"' in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in of_these)


def assert_timed(words: list[list[Any]], seconds: float) -> None:
    """LiveKit's words: all of the text, each beginning where the one before ends."""
    assert [word for word, _, _ in words] == [f"{word} " for word in WORDS]
    begins, ends = [begin for _, begin, _ in words], [end for _, _, end in words]
    assert begins[1:] == pytest.approx(ends[:-1])
    assert begins == sorted(begins)
    assert ends[-1] == pytest.approx(seconds, abs=0.1)


def assert_in_order(words: list[list[Any]], seconds: float) -> None:
    """Pipecat's words: all of the text, and when each begins."""
    assert [word for word, _ in words] == WORDS
    begins = [begin for _, begin in words]
    assert begins == sorted(set(begins))
    assert seconds / 2 < begins[-1] < seconds
