"""G.711, read back by FFmpeg's decoders."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.parameters import AudioFormat
from cosyserve.server.audio.encoder import NOTHING
from cosyserve.server.audio.g711 import FRAME, G711Codec
from support.listening.audio import Floats, decode, speechlike
from support.listening.encoding import RATE, TELEPHONE_FORMATS, encode, joined, whole

BARE = ["ulaw", "alaw"]
FFMPEG = {"ulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
EVERY = np.arange(-32768, 32768).astype(np.int16)
HEAD = {"ulaw": 0, "alaw": 0, "wav_ulaw": 58, "wav_alaw": 58}


def codes(audio_format: str, samples: np.ndarray) -> bytes:
    codec = G711Codec(AudioFormat(audio_format))
    sound = samples.astype(np.float32) / np.float32(32768)
    return codec.encode(sound).data + codec.flush().data


def levels(audio_format: str, data: bytes) -> np.ndarray:
    """What FFmpeg decodes the codes to, as 16-bit integers."""
    return np.rint(decode(data, audio_format, 8000)[0] * 32768).astype(np.int64)


@pytest.mark.parametrize("audio_format", BARE)
def test_every_level_of_a_decoder_is_kept(audio_format: str) -> None:
    data = bytes(range(256))
    again = codes(audio_format, levels(audio_format, data))
    if audio_format == "ulaw":  # it has two codes for 0
        data = data.replace(b"\x7f", b"\xff")
    assert again == data


@pytest.mark.parametrize("audio_format", BARE)
def test_every_sample_comes_back_to_half_a_step(audio_format: str) -> None:
    decoded = levels(audio_format, codes(audio_format, EVERY))
    # A step is a sixteenth of its segment, which the magnitude (of mu-law with its bias) is in.
    bias, most, least = {"ulaw": (132, 32635, 8), "alaw": (0, 32767, 16)}[audio_format]
    samples = np.clip(EVERY.astype(np.int64), -most, most)
    segments = np.exp2(np.floor(np.log2(np.maximum(np.abs(samples) + bias, 1))))
    steps = np.maximum(segments / 16, least)
    assert (np.abs(decoded - samples) <= steps / 2).all()


@pytest.mark.parametrize("audio_format", BARE)
def test_another_encoder_differs_only_at_the_borders_of_segments(audio_format: str) -> None:
    # FFmpeg's encoder decides there by the nearest level, and not by the values of the standard.
    context = av.CodecContext.create(FFMPEG[audio_format], "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 8000, "mono", "s16"  # type: ignore[assignment]
    frame = av.AudioFrame.from_ndarray(EVERY.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 8000
    theirs = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    ours = levels(audio_format, codes(audio_format, EVERY))
    differ = np.flatnonzero(ours != levels(audio_format, theirs))
    assert len(differ) < len(EVERY) / 50
    others = np.unique(levels(audio_format, bytes(range(256))))
    at = [np.searchsorted(others, row) for row in (ours, levels(audio_format, theirs))]
    assert np.abs(at[0] - at[1]).max() == 1


@pytest.mark.parametrize(("audio_format", "code"), [("ulaw", 0xFF), ("alaw", 0xD5)])
def test_silence_is_what_telephones_send(audio_format: str, code: int) -> None:
    assert codes(audio_format, np.zeros(3, np.int16)) == bytes([code] * 3)


@pytest.mark.parametrize("audio_format", TELEPHONE_FORMATS)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_pieces_are_whole_frames_and_any_chunking_is_whole(
    audio_format: str, sizes: list[int]
) -> None:
    speech = speechlike(RATE, 0.513)
    results = encode(speech, sizes, output_format=audio_format)
    assert joined(results) == whole(speech, output_format=audio_format)[0]
    head = HEAD[audio_format]
    *full, last = [result for result in results if result != NOTHING]
    for number, result in enumerate(full):
        assert (len(result.data) - (head if number == 0 else 0)) % FRAME == 0
    assert last.data
    for result in (*full, last):
        sound = len(result.data) - (head if result.data.startswith(b"RIFF") else 0)
        assert result.seconds == sound / 8000 > 0


@pytest.mark.parametrize("audio_format", TELEPHONE_FORMATS)
@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 1.3])
def test_accounts_are_what_a_decoder_gives(audio_format: str, seconds: float) -> None:
    data, told = whole(speechlike(RATE, seconds), output_format=audio_format)
    decoded, rate = decode(data, audio_format, 8000)
    assert rate == 8000
    assert len(decoded) == round(told * 8000)
    assert told == pytest.approx(seconds, abs=0.021 if seconds < 0.02 else 0.001)


@pytest.mark.parametrize("audio_format", TELEPHONE_FORMATS)
def test_the_sound_is_that_of_16_bits(audio_format: str) -> None:
    speech = speechlike(RATE, 1.0)
    decoded, _ = decode(whole(speech, output_format=audio_format)[0], audio_format, 8000)
    plain, _ = decode(whole(speech, output_format="pcm", sample_rate=8000)[0], "pcm", 8000)
    noise = decoded[: len(plain)] - plain
    assert 10 * np.log10(_power(plain) / _power(noise)) > 33  # the law's own noise


def _power(samples: Floats) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.mark.parametrize("audio_format", ["wav_ulaw", "wav_alaw"])
def test_a_stream_in_wav_is_read_by_another_decoder(audio_format: str) -> None:
    data, told = whole(speechlike(RATE, 0.5), output_format=audio_format)
    assert data[4:8] == data[46:50] == data[54:58] == b"\xff\xff\xff\xff"
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels) == (8000, 1)
        assert len(file.read()) == round(told * 8000)
