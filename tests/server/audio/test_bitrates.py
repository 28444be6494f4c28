"""The bit rates that are said to be used are those that the codecs use."""

from __future__ import annotations

import numpy as np
import pytest

from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat
from cosyserve.server.audio.packets import PacketCodec, effective_bit_rate, mp3_bit_rates
from support.listening.audio import speechlike


def measured(audio_format: AudioFormat, rate: int, kbits: int, noise: float = 0.0) -> float:
    """kbit/s that the codec makes of three seconds."""
    codec = PacketCodec(audio_format, rate, kbits)
    hiss = np.random.default_rng(0).standard_normal(3 * rate).astype(np.float32)
    results = [codec.encode(speechlike(rate, 3.0) + noise * hiss), codec.flush()]
    return sum(len(r.data) for r in results) * 8e-3 / sum(r.seconds for r in results)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_mp3_keeps_to_every_rate_exactly(rate: int) -> None:
    for kbits in {effective_bit_rate(AudioFormat.MP3, rate, asked) for asked in BIT_RATES}:
        assert kbits in mp3_bit_rates(rate)
        assert measured(AudioFormat.MP3, rate, kbits) == pytest.approx(kbits, rel=0.01)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_aac_keeps_under_what_it_is_told(rate: int) -> None:
    adts = 7 * 8 * rate / 1024 / 1000  # kbit/s of headers
    for kbits in {effective_bit_rate(AudioFormat.AAC, rate, asked) for asked in BIT_RATES}:
        assert kbits is not None
        assert kbits <= 6 * rate / 1000
        spent = measured(AudioFormat.AAC, rate, kbits, noise=0.05)
        assert 0.5 * kbits < spent < 1.15 * kbits + adts


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_opus_keeps_near_what_it_is_told(rate: int) -> None:
    pages = 13  # kbit/s of Ogg around the packets
    for kbits in {effective_bit_rate(AudioFormat.OPUS, rate, asked) for asked in BIT_RATES}:
        assert kbits is not None
        assert 0.8 * kbits < measured(AudioFormat.OPUS, rate, kbits) < 1.15 * kbits + pages


@pytest.mark.parametrize(
    ("audio_format", "rate", "asked", "used"),
    [
        (AudioFormat.MP3, 24000, "192k", 160),
        (AudioFormat.MP3, 8000, "384k", 64),
        (AudioFormat.MP3, 16000, "16k", 16),
        (AudioFormat.MP3, 44100, "16k", 32),
        (AudioFormat.MP3, 48000, "384k", 320),
        (AudioFormat.MP3, 24000, "60k", 64),
        (AudioFormat.OPUS, 48000, "320k", 256),
        (AudioFormat.OPUS, 48000, "1k", 6),
        (AudioFormat.AAC, 8000, "64k", 48),
        (AudioFormat.AAC, 22050, "192k", 132),
        (AudioFormat.AAC, 48000, "384k", 288),
        (AudioFormat.AAC, 48000, "1k", 8),
        (AudioFormat.WAV, 48000, "64k", None),
        (AudioFormat.PCM, 48000, "64k", None),
        (AudioFormat.FLAC, 48000, "64k", None),
    ],
)
def test_the_nearest_rate_is_taken(
    audio_format: AudioFormat, rate: int, asked: str, used: int | None
) -> None:
    assert effective_bit_rate(audio_format, rate, asked) == used
