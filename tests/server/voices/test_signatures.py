"""Files are known by their bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.voices.decode import AudioFile, OtherFile, identify, skip_id3, sound_begin
from support.listening.audio import make_file, speechlike

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


@given(st.integers(0, 2**32), st.integers(1, 32767), st.integers(0, 500))
def test_pcm_begins_at_its_beginning(seed: int, loudest: int, silence: int) -> None:
    samples = np.random.default_rng(seed).integers(-loudest, loudest + 1, 20000)
    assert sound_begin(bytes(silence) + samples.astype("<i2").tobytes()) == 0


@pytest.mark.parametrize("level", [0, 1, -1, -257, -1025, -3585, 1000])
def test_pcm_of_one_level_begins_at_its_beginning(level: int) -> None:
    square = np.tile(np.repeat([level, 0], [7, 5]), 3000)
    for samples in (np.full(40000, level), square):
        data = samples.astype("<i2").tobytes()
        assert sound_begin(data) == 0
        assert identify(data) is None


@pytest.mark.parametrize("codec", ["libmp3lame", "aac"])
@pytest.mark.parametrize("stray", [1, 100, 417])
def test_the_rest_of_a_first_frame_is_passed_over(codec: str, stray: int) -> None:
    data = make_file(SPEECH, 16000, "mp3" if codec == "libmp3lame" else "adts", codec)
    frames = data[sound_begin(data) :]
    junk = np.random.default_rng(4).bytes(stray)
    assert sound_begin(junk + frames) == stray


def test_text_cut_inside_a_character_is_text() -> None:
    for shift in range(3):
        assert identify(b"a" * shift + "世界".encode() * 2000) == OtherFile("text")


def test_bytes_of_text_with_control_characters_are_not_text() -> None:
    assert identify(b"words\0words" * 900) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1", "gbk", "shift-jis"])
@pytest.mark.parametrize(
    "text",
    ["<!DOCTYPE html><p>%s</p>", "\ufeff <html>%s", "#EXTM3U\r\n%s.mp3", "<?xml ?><a>%s</a>"],
)
def test_documents_are_text_in_any_encoding(text: str, encoding: str) -> None:
    if encoding == "utf-16-be":
        text = "\ufeff" + text
    word = {"gbk": "世界", "shift-jis": "世界", "latin-1": "déjà"}.get(encoding, "世界 été")
    data = (text % (word * 3000)).encode(encoding, "ignore")
    assert identify(data) == OtherFile("text")


def test_text_of_an_old_encoding_is_text() -> None:
    assert identify(("Un café déjà fermé.\n" * 300).encode("latin-1")) == OtherFile("text")


@pytest.mark.parametrize(
    ("data", "begin"),
    [
        *((b"", 0), (b"ID3", 0), (b"fLaC", 0)),
        (b"ID3\x04\0\0\0\0\x01\x02rest", 10 + 130),
        (b"ID3\x04\0\x10\0\0\0\x05", 10 + 5 + 10),
    ],
)
def test_the_sound_begins_behind_the_tag(data: bytes, begin: int) -> None:
    assert skip_id3(data) == begin
