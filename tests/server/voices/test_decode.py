"""Decoding stops where it is told, and only with the codecs that are meant."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from cosyserve.protocol.errors import InvalidAudio
from cosyserve.server.voices.decode import AudioFile, decode_file
from support.listening.audio import make_file, speechlike

WAV = AudioFile("WAV", "wav")
M4A = AudioFile("M4A", "mov")


def test_no_more_is_decoded_than_shows_that_it_is_too_much() -> None:
    data = make_file(speechlike(8000, 20.0), 8000, "wav", "pcm_s16le")
    samples, rate = decode_file(data, WAV, 2.0)
    assert 2.0 < len(samples) / rate < 3.0


def test_channels_are_averaged() -> None:
    left, right = speechlike(8000, 1.0), speechlike(8000, 1.0, pitch=200)
    both = np.stack((left, right), axis=1).reshape(-1)
    data = make_file(both, 8000, "wav", "pcm_f32le")
    stereo = bytearray(data)
    stereo[22] = 2
    stereo[32] = 8
    samples, rate = decode_file(bytes(stereo), WAV, 30.0)
    assert rate == 8000
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)


def test_a_codec_that_is_not_meant_is_named() -> None:
    data = make_file(speechlike(48000, 1.0), 48000, "mp4", "ac3")
    with pytest.raises(InvalidAudio, match="ac3 in a M4A file is not supported"):
        decode_file(data, M4A, 30.0)


@pytest.mark.parametrize("samples", [0, 16385, 1 << 24, 0xFFFFFFFF])
def test_an_alac_frame_of_no_reasonable_size_is_refused_unopened(samples: int) -> None:
    data = bytearray(make_file(speechlike(16000, 1.0), 16000, "ipod", "alac"))
    header = data.rindex(b"alac") + 8
    assert int.from_bytes(data[header : header + 4], "big") == 4096
    data[header : header + 4] = samples.to_bytes(4, "big")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidAudio, match=f"alac with {samples} samples in a frame"):
        decode_file(bytes(data), M4A, 30.0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_a_demuxer_that_is_not_meant_is_not_used() -> None:
    data = make_file(speechlike(16000, 1.0), 16000, "flac", "flac")
    with pytest.raises(InvalidAudio, match="begins as WAV"):
        decode_file(data, WAV, 30.0)


def test_a_rate_that_changes_on_the_way_is_refused() -> None:
    parts = [make_file(speechlike(rate, 1.0), rate, "adts", "aac") for rate in (16000, 24000)]
    with pytest.raises(InvalidAudio, match="changes"):
        decode_file(b"".join(parts), AudioFile("AAC", "aac"), 30.0)
