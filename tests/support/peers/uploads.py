"""Uploads of every kind, honest and not."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cosyserve.protocol.errors import InvalidAudio
from cosyserve.server.voices.clip import ClipLimits, decode_clip

from ..listening.audio import Floats, make_file, speechlike

LIMITS = ClipLimits(1.0, 30.0, 20 * 1024 * 1024)
SPEECH = speechlike(24000, 2.0)
PCM = np.rint(SPEECH * 32767).astype("<i2").tobytes()

FILES = {
    "wav": ("wav", "pcm_s16le"),
    "wav-8": ("wav", "pcm_u8"),
    "wav-24": ("wav", "pcm_s24le"),
    "wav-32": ("wav", "pcm_s32le"),
    "wav-float": ("wav", "pcm_f32le"),
    "wav-double": ("wav", "pcm_f64le"),
    "wav-mulaw": ("wav", "pcm_mulaw"),
    "wav-alaw": ("wav", "pcm_alaw"),
    "wav-adpcm": ("wav", "adpcm_ms"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg-opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "alac": ("ipod", "alac"),
    "mov": ("mov", "pcm_s16le"),
    "adts": ("adts", "aac"),
    "aiff": ("aiff", "pcm_s16be"),
    "aiff-24": ("aiff", "pcm_s24be"),
    "caf": ("caf", "pcm_s16be"),
    "caf-alac": ("caf", "alac"),
    "webm": ("webm", "libopus"),
}


def file_of(name: str, samples: Floats = SPEECH, rate: int = 24000, layout: str = "mono") -> bytes:
    container, codec = FILES[name]
    return make_file(samples, rate, container, codec, layout)


def wav(
    data: bytes, rate: int = 24000, channels: int = 1, bits: int = 16, tag: int = 1, size: int = -1
) -> bytes:
    """A WAV file by hand; every field may be a lie."""
    block = channels * bits // 8 & 0xFFFF
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    size = len(data) if size < 0 else size
    head = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + head + data


def refusal(data: bytes, pcm_rate: int | None = None, limits: ClipLimits = LIMITS) -> str:
    with pytest.raises(InvalidAudio) as caught:
        decode_clip(data, pcm_rate, limits)
    return caught.value.message
