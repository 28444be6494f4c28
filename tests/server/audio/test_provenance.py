"""Sound that says it is synthetic: in every format with a place for it, streamed and whole."""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from cosyserve.protocol.parameters import AudioFormat
from cosyserve.server.audio import SIZED_HEAD, Provenance, sized_head
from cosyserve.server.audio.heads import wav_head
from cosyserve.server.audio.provenance import SYNTHETIC
from cosyserve.version import VERSION
from support.engines.fake_engine import RATE
from support.listening.audio import decode
from support.peers.last_word import WORDS
from support.peers.peers import GOOD, Peer, audio, message, run_task

from .test_heads import stream

MADE_BY = Provenance.of("embedded")
BARE = (AudioFormat.PCM, AudioFormat.ULAW, AudioFormat.ALAW)
TAGGED = [each for each in AudioFormat if each not in BARE]
WAVES = [AudioFormat.WAV, AudioFormat.WAV_ULAW, AudioFormat.WAV_ALAW]


def rate_of(audio_format: AudioFormat) -> int:
    return audio_format.default_sample_rate


def tags(data: bytes) -> dict[str, str]:
    """What a player finds, by the names that FFmpeg has for it."""
    with av.open(io.BytesIO(data)) as container:
        found = dict(container.metadata)
        for track in container.streams:
            found |= track.metadata
        return {name.lower(): value for name, value in found.items()}


def made_by(found: dict[str, str]) -> str | None:
    return found.get("encoded_by") or found.get("encoder")


@pytest.mark.parametrize("audio_format", TAGGED)
def test_a_stream_says_so_in_its_head(audio_format: AudioFormat) -> None:
    rate = rate_of(audio_format)
    found = tags(stream(audio_format, rate, 1.0, MADE_BY))
    assert found["comment"] == SYNTHETIC
    assert made_by(found) == f"cosyserve {VERSION} (embedded)"
    first = stream(audio_format, rate, 0.2, MADE_BY)
    assert SYNTHETIC.encode() in first[:600]


@pytest.mark.parametrize("audio_format", TAGGED)
def test_without_it_nothing_is_said(audio_format: AudioFormat) -> None:
    data = stream(audio_format, rate_of(audio_format), 1.0)
    assert "comment" not in tags(data)
    assert b"cosyserve" not in data


@pytest.mark.parametrize("audio_format", TAGGED)
def test_the_sound_is_the_same(audio_format: AudioFormat) -> None:
    rate = rate_of(audio_format)
    plain, marked = (stream(audio_format, rate, 1.0, each) for each in (None, MADE_BY))
    decoded = [decode(data, audio_format, rate)[0] for data in (plain, marked)]
    assert np.array_equal(*decoded)
    assert 0 < len(marked) - len(plain) < 400


@pytest.mark.parametrize("audio_format", WAVES)
def test_a_wav_keeps_the_sizes_of_a_stream(audio_format: AudioFormat) -> None:
    head = wav_head(audio_format, 8000, MADE_BY)
    assert struct.unpack_from("<4sI", head) == (b"RIFF", 0xFFFFFFFF)
    assert struct.unpack_from("<4sI", head, len(head) - 8) == (b"data", 0xFFFFFFFF)
    assert len(head) % 2 == 0
    assert len(head) <= SIZED_HEAD


@pytest.mark.parametrize("audio_format", WAVES)
@pytest.mark.parametrize("engine", ["even", "odd"])
def test_a_whole_wav_has_its_sizes(audio_format: AudioFormat, engine: str) -> None:
    data = stream(audio_format, 8000, 0.5, Provenance.of(engine))
    head = sized_head(data[:SIZED_HEAD], audio_format, len(data), 4000)
    whole = head + data[SIZED_HEAD:]
    assert len(whole) == len(data)
    assert int.from_bytes(whole[4:8], "little") == len(whole) - 8
    info = soundfile.info(io.BytesIO(whole))
    assert (info.samplerate, info.frames) == (8000, 4000)
    with soundfile.SoundFile(io.BytesIO(whole)) as file:
        assert file.comment == SYNTHETIC
        assert file.software.startswith("cosyserve ")
    assert tags(whole)["comment"] == SYNTHETIC


def test_a_whole_flac_has_its_samples() -> None:
    data = stream(AudioFormat.FLAC, 24000, 0.5, MADE_BY)
    whole = sized_head(data[:SIZED_HEAD], AudioFormat.FLAC, len(data), 12000) + data[SIZED_HEAD:]
    assert soundfile.info(io.BytesIO(whole)).frames == 12000
    assert tags(whole)["comment"] == SYNTHETIC


def test_a_flac_of_one_short_frame_says_it_too() -> None:
    assert tags(stream(AudioFormat.FLAC, 24000, 0.01, MADE_BY))["comment"] == SYNTHETIC


# Through the server


async def spoken(peer: Peer, **parameters: Any) -> bytes:
    async with peer.socket() as socket:
        await socket.send(
            run_task("t", **parameters), message("finish-task", "t", input={"text": WORDS})
        )
        return audio(await socket.until("task-finished"))


@pytest.mark.parametrize("audio_format", AudioFormat)
async def test_a_task_may_ask_for_it(peer: Peer, audio_format: AudioFormat) -> None:
    asked = {"output_format": audio_format.value}
    marked = await spoken(peer, **asked, mark_synthetic=True)
    plain = await spoken(peer, **asked)
    if audio_format in BARE:
        assert marked == plain
    else:
        assert tags(marked)["comment"] == SYNTHETIC
        assert "comment" not in tags(plain)


async def test_an_operator_may_say_it_of_all_sound(served) -> None:
    async with served(mark_synthetic=True) as (server, engine), Peer.of(server, engine) as peer:
        assert (
            tags(await spoken(peer, output_format="wav", mark_synthetic=False))["comment"]
            == SYNTHETIC
        )
        body = {"model": "tts-1", "voice": "plain", "input": WORDS, "response_format": "opus"}
        async with peer.http.post("/v1/audio/speech", json=body) as answer:
            assert tags(await answer.read())["comment"] == SYNTHETIC
        async with peer.http.post("/v1/text-to-speech/plain", json={"text": WORDS}) as answer:
            assert tags(await answer.read())["comment"] == SYNTHETIC
        body = {
            "model": "CosyVoice2-0.5B",
            "input": {**GOOD, "text": WORDS, "output_format": "wav"},
            "stream": False,
        }
        async with peer.http.post("/api/v1/audio/speech", json=body) as answer:
            document = await answer.json()
            whole = base64.b64decode(document["output"]["audio"]["data"])
        assert tags(whole)["comment"] == SYNTHETIC
        assert soundfile.info(io.BytesIO(whole)).frames == round(0.15 * RATE)
