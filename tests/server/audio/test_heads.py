"""Whole answers say their length."""

from __future__ import annotations

import io
import struct
import wave

import pytest
import soundfile

from cosyserve.protocol.parameters import AudioFormat
from cosyserve.server.audio import SIZED_HEAD, sized_head
from cosyserve.server.audio.flac import FlacCodec
from cosyserve.server.audio.g711 import G711Codec
from cosyserve.server.audio.heads import wav_head
from cosyserve.server.audio.packets import PacketCodec
from cosyserve.server.audio.pcm import PcmCodec
from cosyserve.server.audio.provenance import Provenance
from support.listening.audio import decode, speechlike


def stream(
    audio_format: AudioFormat, rate: int, seconds: float, provenance: Provenance | None = None
) -> bytes:
    codec: PcmCodec | G711Codec | FlacCodec | PacketCodec
    match audio_format:
        case AudioFormat.WAV:
            codec = PcmCodec(rate, wav_head(audio_format, rate, provenance))
        case AudioFormat.WAV_ULAW | AudioFormat.WAV_ALAW:
            head = wav_head(audio_format, rate, provenance)
            codec = G711Codec(audio_format, head, even=True)
        case AudioFormat.FLAC:
            codec = FlacCodec(rate, provenance)
        case _:
            codec = PacketCodec(audio_format, rate, 64, provenance)
    return codec.encode(speechlike(rate, seconds)).data + codec.flush().data


def sized(data: bytes, audio_format: AudioFormat, samples: int = 0) -> bytes:
    head = sized_head(data[:SIZED_HEAD], audio_format, len(data), samples)
    return head + data[SIZED_HEAD:]


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_wav_says_its_sizes(rate: int) -> None:
    data = stream(AudioFormat.WAV, rate, 1.5)
    whole = sized(data, AudioFormat.WAV)
    assert whole[44:] == data[44:]
    assert int.from_bytes(whole[4:8], "little") == len(whole) - 8
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.getnframes()) == (rate, round(1.5 * rate))


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV_ULAW, AudioFormat.WAV_ALAW])
@pytest.mark.parametrize("samples", [1, 160, 12_345])
def test_wav_of_telephones_says_its_sizes(audio_format: AudioFormat, samples: int) -> None:
    data = stream(audio_format, 8000, samples / 8000)
    whole = sized(data, audio_format)
    even = samples + samples % 2  # a chunk of RIFF has no odd length
    assert len(whole) == 58 + even
    assert int.from_bytes(whole[4:8], "little") == len(whole) - 8
    info = soundfile.info(io.BytesIO(whole))
    assert (info.samplerate, info.channels, info.frames) == (8000, 1, even)
    assert info.subtype == audio_format.removeprefix("wav_").upper()
    assert whole[38:50] == b"fact" + struct.pack("<II", 4, even)
    assert len(decode(whole, audio_format, 8000)[0]) == even


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_flac_says_its_samples(rate: int) -> None:
    data = stream(AudioFormat.FLAC, rate, 1.234)
    whole = sized(data, AudioFormat.FLAC, round(1.234 * rate))
    info = soundfile.info(io.BytesIO(whole))
    assert (info.samplerate, info.frames) == (rate, round(1.234 * rate))
    assert len(soundfile.read(io.BytesIO(whole))[0]) == info.frames
    assert len(decode(whole, "flac", rate)[0]) == info.frames


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC])
def test_other_formats_stay_as_they_are(audio_format: AudioFormat) -> None:
    data = stream(audio_format, 24000, 0.5)
    assert sized(data, audio_format) == data


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_nothing_stays_nothing(audio_format: AudioFormat) -> None:
    assert sized(b"", audio_format) == b""
