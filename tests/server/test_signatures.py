"""Files are known by their bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.signatures import AudioFile, OtherFile, identify, skip_id3
from support.audio import make_file, speechlike

SPEECH = speechlike(16000, 0.5)


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("wav", "pcm_s16le", "WAV"),
        ("mp3", "libmp3lame", "MP3"),
        ("flac", "flac", "FLAC"),
        ("ogg", "libopus", "Ogg"),
        ("ipod", "aac", "M4A"),
        ("adts", "aac", "AAC"),
        ("webm", "libopus", "WebM"),
    ],
)
def test_sound_files(container: str, codec: str, name: str) -> None:
    found = identify(make_file(SPEECH, 16000, container, codec))
    assert isinstance(found, AudioFile)
    assert found.name == name


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000])
def test_mp3_without_a_tag_at_every_rate(rate: int) -> None:
    data = make_file(speechlike(rate, 0.5), rate, "mp3", "libmp3lame")
    found = identify(data[skip_id3(data) :])
    assert isinstance(found, AudioFile)
    assert found.name == "MP3"


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_quiet_pcm_is_nothing_known(seed: int, loudest: int) -> None:
    samples = np.random.default_rng(seed).integers(-loudest, loudest + 1, 4000)
    assert identify(samples.astype("<i2").tobytes()) is None


def test_text_cut_inside_a_character_is_text() -> None:
    for shift in range(3):
        assert identify(b"a" * shift + "世界".encode() * 2000) == OtherFile("text")


def test_bytes_of_text_with_control_characters_are_not_text() -> None:
    assert identify(b"words\0words" * 900) is None


@pytest.mark.parametrize(
    ("data", "begin"),
    [(b"", 0), (b"ID3", 0), (b"ID3\x04\0\0\0\0\x01\x02rest", 10 + 130), (b"fLaC", 0)],
)
def test_the_sound_begins_behind_the_tag(data: bytes, begin: int) -> None:
    assert skip_id3(data) == begin
