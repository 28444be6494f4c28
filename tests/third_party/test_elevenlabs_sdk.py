"""The unmodified elevenlabs SDK against a server with the embedded voice, over TLS."""

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
from support.peers.tls import self_signed

from .conftest import TOKEN, Speaking

TEXT = "Hello there, you. I have 42 dogs."


@pytest.fixture
async def told(speaking_with: Speaking, tmp_path: Path) -> Any:
    """What the driver reports; its sounds are in tmp_path."""
    certificate, key = self_signed(tmp_path)
    options = json.dumps({"voice": "alba", "text": TEXT})
    secured = {"tls_cert": str(certificate), "tls_key": str(key)}
    async with speaking_with(references=str(tmp_path / "secure"), **secured) as server:
        return await drive(
            "elevenlabs_sdk.py", server.url, TOKEN, tmp_path, options, str(certificate)
        )


async def test_every_call_gives_the_native_speech(
    told: Any, speaking: RunningServer, tmp_path: Path
) -> None:
    native = await native_speech(speaking.url, TOKEN, TEXT)
    for name in ("realtime", "stream", "timed_stream"):
        assert np.array_equal(kept(tmp_path, name), native), name
    assert np.array_equal(kept(tmp_path, "timed", "wav"), native)
    for name in ("realtime_mp3", "convert"):
        assert likeness(*decode(sound(tmp_path, name), "mp3", RATE), native) > 0.98, name
    faster = await native_speech(speaking.url, TOKEN, TEXT, speed=1.2)
    assert np.array_equal(kept(tmp_path, "faster"), faster)
    assert told["realtime"] > 1  # it came in pieces
    for name, law in (("phone", "ulaw"), ("phone_realtime", "ulaw"), ("phone_alaw", "alaw")):
        heard, rate = decode(sound(tmp_path, name), law, 8000)
        assert len(heard) / rate == pytest.approx(len(native) / RATE, abs=0.001), name
        assert likeness(heard, rate, native) > 0.98, name
    assert told["phone_realtime"] > 1

    timed = told["timed"]
    assert "".join(timed["characters"]) == TEXT
    assert timed["starts"] == sorted(timed["starts"])
    assert timed["ends"][-1] == pytest.approx(len(native) / RATE, abs=0.01)
    pieces = [piece for piece in told["timed_stream"] if piece]
    assert "".join("".join(piece["characters"]) for piece in pieces) == TEXT
    starts = [start for piece in pieces for start in piece["starts"]]
    assert starts == pytest.approx(timed["starts"], abs=0.001)

    assert "alba" in told["voices"]
    assert told["search"] == ["alba"]
    assert told["voice"] == "Alba"
    errors = told["errors"]
    assert errors["no_voice"]["status"] == 1008
    assert errors["no_voice_http"]["status"] == 404
    assert errors["no_voice_http"]["body"]["detail"]["status"] == "voice_not_found"
    assert "nobody" in errors["no_voice_http"]["body"]["detail"]["message"]
    assert errors["no_format"]["status"] == 400
    assert "ulaw_16000" in errors["no_format"]["body"]["detail"]["message"]


def sound(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.bin").read_bytes()


def kept(folder: Path, name: str, form: str = "pcm") -> Floats:
    return decode(sound(folder, name), form, RATE)[0]


async def test_pronunciation_dictionaries(speaking: RunningServer, tmp_path: Path) -> None:
    options = json.dumps({"voice": "alba"})
    told = await drive("elevenlabs_dictionaries.py", speaking.url, TOKEN, tmp_path, options)
    for name, text in (
        ("phoneme", "Winn is here."),
        ("alias", "The United Nations is here."),
        ("plain", "Nguyen is here."),
        ("removed", "The UN is here."),
    ):
        native = await native_speech(speaking.url, TOKEN, text)
        assert np.array_equal(kept(tmp_path, name), native), name
    assert told["made"][:2] == ["Names", 3]
    assert told["copied"] == ["Copy", 3]
    assert (told["added"], told["removed"], told["changed"]) == (4, 2, 1)
    assert told["got"] == [["phoneme", "Nguyen"], ["alias", "EU"]]
    assert told["updated"] == ["Old", True]
    assert told["pages"] == [[["Names"], False], [["Names", "Old"], False]]
    assert "<alias>United Nations</alias>" in told["pls"]
    errors = told["errors"]
    assert errors["phoneme"][0] == 400
    assert (
        "rules.0.phoneme: 'ʁ': no sound 'ʁ'; allowed: the sounds of English" in errors["phoneme"][1]
    )
    assert errors["nothing"][0] == 404
    assert errors["locator"][0] == 400
    assert "no dictionary has the id 'nothing'" in errors["locator"][1]
