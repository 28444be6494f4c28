"""Uploads that mean harm, or are broken as if they did."""

from __future__ import annotations

import io
import resource

import av
import numpy as np
import pytest

from cosyserve.server.voices.clip import decode_clip
from support.listening.audio import make_file, speechlike
from support.peers.uploads import FILES, LIMITS, PCM, file_of, refusal, wav


def test_playlists_behind_a_tag_or_a_header_are_not_followed() -> None:
    playlist = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n" * 50
    for data in (
        b"ID3\x04\0\0\0\0\0\0" + playlist,
        b"\0\0\0\x08ftyp" + playlist,
        b"OggS" + playlist,
    ):
        assert "cannot be decoded" in refusal(data)


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\xff\xff\xff\xffWAVE",
        b"ID3\x04\0\0\0\0\0\x10",
        b"fLaC",
        b"OggS",
        b"\0\0\0\x20ftypM4A ",
        b"\x1aE\xdf\xa3",
    ],
)
def test_a_signature_before_garbage_is_refused(head: bytes) -> None:
    assert refusal(head + b"not really a sound file" * 3000)
    assert refusal(head + np.random.default_rng(2).bytes(60_000))


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 64, 255])
def test_any_number_of_channels_is_mixed(channels: int) -> None:
    mono = np.rint(speechlike(8000, 1.1) * 32767).astype("<i2")
    data = wav(np.repeat(mono, channels).tobytes(), 8000, channels)
    clip = decode_clip(data, None, LIMITS)
    assert clip.seconds == pytest.approx(1.1, abs=0.01)
    np.testing.assert_allclose(clip.samples, mono[: len(clip.samples)] / 32768, atol=1e-6)


@pytest.mark.parametrize(
    "lie",
    [
        {"channels": 0},
        {"channels": 65535},
        {"rate": 0},
        {"rate": 1},
        {"rate": 7999},
        {"rate": 192001},
        {"rate": 2**31 - 1},
        {"rate": 2**32 - 1},
        {"bits": 0},
        {"bits": 128},
        {"tag": 0xFFFF},
        {"tag": 0x0130},
    ],
)
def test_impossible_headers_are_refused(lie: dict[str, int]) -> None:
    assert refusal(wav(PCM * 2, **lie))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", ["flac", "mp3", "ogg-opus", "adts"])
def test_hours_of_silence_stop_at_the_limit(name: str) -> None:
    minute = np.zeros(60 * 8000, np.float32)
    container, codec = FILES[name]
    short = make_file(minute, 8000, container, codec)
    data = short * (LIMITS.max_bytes // len(short)) if name != "flac" else _hours_of_flac()
    before = peak_kib()
    assert "more than 30 s" in refusal(data)
    assert peak_kib() - before < 60_000


def _hours_of_flac() -> bytes:
    """An hour in large frames, and a header that promises sixty."""
    hour = np.zeros(3600 * 8000, np.float32)
    data = bytearray(make_file(hour, 8000, "flac", "flac", frame_size="65535"))
    assert len(data) < 100_000
    data[21:26] = ((data[21] & 0xF0) << 32 | 60 * 3600 * 8000).to_bytes(5, "big")
    return bytes(data)


def test_a_header_that_promises_little_does_not_hide_much() -> None:
    data = bytearray(file_of("flac", speechlike(24000, 40.0)))
    data[21:26] = ((data[21] & 0xF0) << 32 | 24000).to_bytes(5, "big")
    assert "more than 30 s" in refusal(bytes(data))


def test_a_video_without_sound_is_refused() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(20):
            file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    assert refusal(out.getvalue())
