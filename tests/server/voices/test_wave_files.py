"""WAVE files as programs write them: sizes that nobody knew, chunks of every kind, all samples."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from cosyserve.server.voices.clip import Clip, decode_clip
from cosyserve.server.voices.wave_files import WaveFile
from support.listening.audio import Floats, delay_of, make_file, speechlike
from support.peers.uploads import LIMITS, refusal

RATE = 24000
SPEECH = speechlike(RATE, 1.5)
PCM = np.rint(SPEECH * 32767).astype("<i2").tobytes()
FORMAT = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
LIST = b"LIST" + struct.pack("<I", 14) + b"INFOISFT\x02\0\0\0me"
ODD = b"note" + struct.pack("<I", 5) + b"hello"
HEAD = 44  # bytes before the sound of the plainest file

PLACEHOLDERS = [
    *(0, 0xFFFFFFFF, 0xFFFFFFDB, 0x80000000, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000, 0x7FFFF024),
    *(0x7F000000, 0x7FFFFFFD, 0x3FFFFFFF, 0x12345679),
]


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


def wave(
    *before: bytes,
    sound: bytes = PCM,
    size: int | None = None,
    riff: int | None = None,
    after: bytes = b"",
    magic: bytes = b"RIFF",
    form: bytes = FORMAT,
) -> bytes:
    """A file whose chunks are those given; the sizes are right where none is given."""
    body = b"WAVE" + b"".join(before) + chunk(b"fmt ", form) + chunk(b"data", sound, size) + after
    return magic + struct.pack("<I", len(body) if riff is None else riff) + body


def assert_is_speech(clip: Clip, sound: Floats = SPEECH, likeness: float = 0.9999) -> None:
    """The whole sound, and no sample more."""
    assert clip.sample_rate == RATE
    assert len(clip.samples) == len(sound)
    assert np.corrcoef(clip.samples, sound)[0, 1] > likeness
    assert np.std(clip.samples) == pytest.approx(np.std(sound), rel=0.02)


@pytest.mark.parametrize("riff", [None, 0, 36, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024])
@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_a_placeholder_is_no_size(size: int, riff: int | None) -> None:
    assert_is_speech(decode_clip(wave(size=size, riff=riff), None, LIMITS))


@pytest.mark.parametrize("before", [LIST, ODD, ODD + b"\0", chunk(b"bext", bytes(602))])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_chunks_before_the_sound_are_passed_over(before: bytes, size: int | None) -> None:
    fact = chunk(b"fact", struct.pack("<I", len(SPEECH)))
    assert_is_speech(decode_clip(wave(before, fact, size=size), None, LIMITS))


@pytest.mark.parametrize(
    "after",
    [
        LIST * 400,
        chunk(b"id3 ", b"ID3\x03" + bytes(20000)),
        chunk(b"Made", b"\x7f\x40" * 4000),
        b"TAG" + b"title of it" * 11 + b"....",
        b"APETAGEX" + bytes(range(255)) * 20,
        bytes(4096),
        b"\r\n",
    ],
)
@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF])
def test_what_follows_a_right_size_is_not_sound(after: bytes, riff: int | None) -> None:
    assert_is_speech(decode_clip(wave(riff=riff, after=after), None, LIMITS))


def test_a_second_file_behind_the_first_is_not_sound() -> None:
    assert_is_speech(decode_clip(wave() + wave(), None, LIMITS))


@pytest.mark.parametrize("size", [2, 1000, 1001, 8192])
@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF, 0x7FFFF024])
def test_a_size_too_small_that_no_other_confirms_is_no_size(size: int, riff: int | None) -> None:
    assert_is_speech(decode_clip(wave(size=size, riff=riff), None, LIMITS))


@pytest.mark.parametrize("size", [2 * len(PCM), 3 * len(PCM) + 1])
@pytest.mark.parametrize("riff", [None, 0, 36, 0xFFFFFFFF, 0x7FFFF024])
def test_a_size_beyond_the_file_that_no_other_confirms_is_no_size(size: int, riff: int) -> None:
    assert_is_speech(decode_clip(wave(size=size, riff=riff), None, LIMITS))


@pytest.mark.parametrize("padded", [True, False])
def test_an_odd_number_of_bytes_may_lack_its_pad(padded: bool) -> None:
    levels = np.rint(SPEECH[:-1] * 127 + 128).astype(np.uint8).tobytes()
    assert len(levels) % 2
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)
    data = wave(sound=levels, form=form, after=b"\0" * padded + LIST * 100)
    assert_is_speech(decode_clip(data, None, LIMITS), SPEECH[:-1], likeness=0.995)


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert_is_speech(decode_clip(wave(sound=PCM + b"\x7f", size=0), None, LIMITS))


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
@pytest.mark.parametrize("wide", [len(PCM), 0, (1 << 64) - 1, 1 << 40])
def test_64_bit_sizes(magic: bytes, wide: int) -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, wide, 0, 0))
    after = LIST * 100 if wide == len(PCM) else b""
    data = wave(ds64, size=0xFFFFFFFF, riff=0xFFFFFFFF, magic=magic, after=after)
    assert_is_speech(decode_clip(data, None, LIMITS))


def test_no_sound_is_told_from_an_unknown_size() -> None:
    assert "no sound" in refusal(wave(sound=b"", after=LIST * 2000))
    assert "no sound" in refusal(wave(sound=b""))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_size_that_a_clip_may_have_tells_of_a_cut(share: float) -> None:
    whole = wave()
    cut = whole[: int(len(whole) * share)]
    assert "cut off; of 1.50 s" in refusal(cut)
    assert_is_speech(decode_clip(whole[:-2000], None, LIMITS), SPEECH[:-1000])


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("size", [None, 0xFFFFFFFF])
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
def test_every_kind_of_sample(subtype: str, extensible: bool, size: int | None) -> None:
    out = io.BytesIO()
    container = "WAVEX" if extensible else "WAV"
    soundfile.write(out, SPEECH, RATE, format=container, subtype=subtype)
    data = bytearray(out.getvalue())
    if size is not None:
        place = data.index(b"data") + 4
        data[place : place + 4] = struct.pack("<I", size)
    assert_is_speech(decode_clip(bytes(data), None, LIMITS), likeness=0.995)


def test_samples_of_24_bits_may_fill_four_bytes() -> None:
    wide = (np.rint(SPEECH * (2**23 - 1)).astype("<i4") << 8).tobytes()
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 4, 4, 24)
    assert_is_speech(decode_clip(wave(sound=wide, form=form), None, LIMITS))


def test_a_header_of_the_other_byte_order() -> None:
    form = struct.pack(">HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    sound = np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
    body = b"WAVEfmt \0\0\0\x10" + form + b"data" + struct.pack(">I", len(sound)) + sound
    data = b"RIFX" + struct.pack(">I", len(body)) + body
    assert_is_speech(decode_clip(data, None, LIMITS))


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav", "libmp3lame"])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_codec_s_file_of_unknown_size_is_read_to_its_end(codec: str, size: int) -> None:
    data = bytearray(make_file(SPEECH, RATE, "wav", codec))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", size)
    clip = decode_clip(bytes(data), None, LIMITS)
    assert clip.seconds == pytest.approx(1.5, abs=0.1)
    lag = delay_of(clip.samples, SPEECH[:30000], 1500)
    assert np.corrcoef(clip.samples[lag : lag + 30000], SPEECH[:30000])[0, 1] > 0.98


def test_where_the_sound_lies() -> None:
    header = WaveFile.parse(wave(size=0))
    assert (header.begin, header.end, header.declared) == (HEAD, HEAD + len(PCM), len(PCM))
    assert header.plain(wave(size=0)) == wave()
    assert header.plain(wave(LIST, after=LIST, size=0)) != wave()


def test_any_number_of_chunks_is_not_searched() -> None:
    assert refusal(wave(chunk(b"JUNK", b"") * 1_000_000))
