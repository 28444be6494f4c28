"""The whole encoder: every format, read back by independent decoders."""

from __future__ import annotations

import io
import os
import wave

import numpy as np
import pytest
import soundfile

from cosyserve.protocol.parameters import SAMPLE_RATES, AudioFormat
from cosyserve.server.audio import SIZED_HEAD, Encoded, heavy, open_encoder, silence, sized_head
from support.listening.audio import Floats, decode, delay_of, speechlike
from support.listening.encoding import (
    FORMATS,
    RATE,
    TELEPHONE_FORMATS,
    encode,
    joined,
    parameters,
    whole,
)

RATES = [
    (audio_format, rate)
    for audio_format in FORMATS
    for rate in SAMPLE_RATES
    if audio_format != "opus" or rate in (8000, 16000, 24000, 48000)
]
EXACT = {"wav": 0.002, "pcm": 0.002, "flac": 0.002, "mp3": 0.1, "opus": 0.1, "aac": 0.1}


@pytest.mark.parametrize(("audio_format", "rate"), RATES)
def test_accounts_are_what_a_decoder_gives(audio_format: str, rate: int) -> None:
    speech = speechlike(RATE, 1.3)
    results = encode(speech, [960, 1], output_format=audio_format, sample_rate=rate)
    decoded, decoded_rate = decode(joined(results), audio_format, rate)
    told = sum(result.seconds for result in results)
    assert decoded_rate == (48000 if audio_format == "opus" else rate)
    assert abs(len(decoded) / decoded_rate - told) < 0.001
    assert abs(told - 1.3) < (0.002 if EXACT[audio_format] < 0.1 or audio_format == "opus" else 0.3)
    assert all((result.seconds > 0) == bool(result.data) for result in results)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.06])
def test_the_shortest_streams_are_whole_files(audio_format: str, seconds: float) -> None:
    for rate in (8000, 16000, 24000, 48000):
        data, told = whole(speechlike(RATE, seconds), output_format=audio_format, sample_rate=rate)
        decoded, decoded_rate = decode(data, audio_format, rate)
        assert len(decoded) / decoded_rate >= seconds - 0.001
        assert len(decoded) / decoded_rate == pytest.approx(told, abs=0.002)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_stream_without_sound_is_nothing(audio_format: str) -> None:
    encoder = open_encoder(
        parameters(output_format=audio_format, volume=2.0, speed=1.2),
        RATE,
        engine_speed=False,
        engine_pitch=False,
    )
    nothing = np.zeros(0, np.float32)
    for result in (encoder.encode(nothing), encoder.encode(nothing), encoder.flush()):
        assert result == Encoded(b"", 0.0)


@pytest.mark.parametrize(("audio_format", "rate"), RATES)
def test_the_sound_comes_through(audio_format: str, rate: int) -> None:
    speech = speechlike(RATE, 1.0)
    data, _ = whole(speech, output_format=audio_format, sample_rate=rate, bit_rate="64k")
    decoded, decoded_rate = decode(data, audio_format, rate)
    times = np.arange(0, 1.0, 1 / 8000)
    # What is above 2 kHz is not compared: bands and bit rates of the codecs differ there.
    longer = np.arange(0, 1.4, 1 / 8000)
    got = _low(np.interp(longer, np.arange(len(decoded)) / decoded_rate, decoded, right=0))
    want = _low(np.interp(times, np.arange(len(speech)) / RATE, speech))
    lag = delay_of(got, want, 3000)
    part = got[lag : lag + len(want) - 400]
    likeness = np.corrcoef(part, want[: len(part)])[0, 1]
    assert likeness > 0.97
    if audio_format in ("wav", "pcm", "flac", "opus"):
        assert lag <= 1


def _low(samples: Floats) -> Floats:
    kernel = np.sinc(np.arange(-40, 41) / 2) * np.hamming(81)
    return np.asarray(np.convolve(samples, kernel / kernel.sum(), "same"), np.float32)


def test_wav_has_one_header_with_unknown_sizes() -> None:
    speech = speechlike(RATE, 0.5)
    data = joined(encode(speech, [777], output_format="wav"))
    assert data[:8] == b"RIFF\xff\xff\xff\xff"
    assert data[36:44] == b"data\xff\xff\xff\xff"
    assert data.count(b"WAVEfmt") == 1
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)


@pytest.mark.parametrize(
    ("audio_format", "rate"), [("wav", 24000), ("flac", 24000), ("flac", 48000)]
)
def test_lossless_formats_are_exact_for_another_decoder(audio_format: str, rate: int) -> None:
    speech = speechlike(rate, 0.7)
    data = joined(encode(speech, [960], rate, output_format=audio_format, sample_rate=rate))
    # This decoder takes the length from the header alone.
    head = sized_head(data[:SIZED_HEAD], AudioFormat(audio_format), len(data), len(speech))
    data = head + data[SIZED_HEAD:]
    decoded, decoded_rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert decoded_rate == rate
    np.testing.assert_array_equal(decoded, np.rint(speech * 32768).astype(np.int16))


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_lossy_formats_are_read_by_another_decoder(audio_format: str) -> None:
    speech = speechlike(RATE, 1.0)
    data, told = whole(speech, output_format=audio_format)
    decoded, decoded_rate = soundfile.read(io.BytesIO(data))
    assert abs(len(decoded) / decoded_rate - told) < 0.1
    assert np.std(decoded) == pytest.approx(np.std(speech), rel=0.1)


FIRST_BYTES = {"wav": 1, "pcm": 1, "flac": 480, "opus": 480, "mp3": 1152, "aac": 2048}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_first_bytes_come_early(audio_format: str) -> None:
    encoder = open_encoder(
        parameters(output_format=audio_format), RATE, engine_speed=True, engine_pitch=True
    )
    speech = speechlike(RATE, 0.2)
    first = next(n for n in range(len(speech)) if encoder.encode(speech[n : n + 1]).data) + 1
    assert first <= FIRST_BYTES[audio_format]


def test_nothing_is_held_back_for_long() -> None:
    speech = speechlike(RATE, 2.0)
    for audio_format in FORMATS:
        results = encode(speech, [240], output_format=audio_format, volume=2.0)
        told, most = 0.0, 0.0
        for fed, result in enumerate(results[:-1], start=1):
            told += result.seconds
            most = max(most, fed * 0.01 - told)
        assert most < 0.11, audio_format


@pytest.mark.parametrize("audio_format", FORMATS)
def test_sound_beyond_full_scale_saturates(audio_format: str) -> None:
    square = np.sign(speechlike(RATE, 0.5)) * np.float32(3)
    data, _ = whole(square, output_format=audio_format)
    decoded, _ = decode(data, audio_format, RATE)
    assert np.abs(decoded).max() < 3
    if audio_format in ("wav", "pcm", "flac"):
        assert set(np.unique(decoded)) <= {-1.0, np.float32(32767 / 32768), 0.0}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_what_is_no_number_is_silence_and_does_not_spread(audio_format: str) -> None:
    speech = speechlike(RATE, 0.5)
    broken = speech.copy()
    broken[[100, 3000, 3001]] = [np.nan, np.inf, -np.inf]
    mended = np.where(np.isfinite(broken), broken, 0).astype(np.float32)
    for stages in ({}, {"volume": 5.0, "speed": 1.5, "sample_rate": 16000}):
        rate = int(stages.get("sample_rate", RATE))
        got, want = (
            decode(whole(sound, output_format=audio_format, **stages)[0], audio_format, rate)[0]
            for sound in (broken, mended)
        )
        np.testing.assert_array_equal(got, want)


def test_samples_may_be_a_view_or_of_another_type() -> None:
    speech = speechlike(RATE, 0.3)
    for odd in (np.repeat(speech, 2)[::2], speech.astype(np.float64), speech.astype(">f4")):
        for volume in (1.0, 3.0):
            got = whole(odd, output_format="wav", volume=volume)
            assert got == whole(speech, output_format="wav", volume=volume)


def test_the_input_is_not_changed() -> None:
    speech = speechlike(RATE, 0.3)
    before = speech.copy()
    for audio_format in FORMATS:
        whole(speech, output_format=audio_format, volume=0.5)
    np.testing.assert_array_equal(speech, before)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_streams_start_no_threads(audio_format: str) -> None:
    encoders = []
    before = len(os.listdir("/proc/self/task"))
    allowed = os.sched_getaffinity(0)
    for _ in range(8):
        encoder = open_encoder(
            parameters(output_format=audio_format, volume=2.0),
            RATE,
            engine_speed=False,
            engine_pitch=False,
        )
        encoder.encode(speechlike(RATE, 0.1))
        encoders.append(encoder)
    assert len(os.listdir("/proc/self/task")) <= before  # those of earlier tests may end meanwhile
    assert os.sched_getaffinity(0) == allowed


def test_an_encoder_may_be_dropped_half_way() -> None:
    for audio_format in FORMATS:
        encoder = open_encoder(
            parameters(output_format=audio_format), RATE, engine_speed=True, engine_pitch=True
        )
        assert encoder.encode(speechlike(RATE, 0.5)).data
        del encoder


@pytest.mark.parametrize(
    ("audio_format", "rate", "asked", "used"),
    [
        ("mp3", 24000, "192k", "160k"),
        ("mp3", 48000, "16k", "32k"),
        ("opus", 24000, "384k", "256k"),
        ("aac", 24000, "192k", "144k"),
        ("wav", 24000, "192k", None),
        ("pcm", 24000, "192k", None),
        ("flac", 24000, "192k", None),
    ],
)
def test_effective_audio(audio_format: str, rate: int, asked: str, used: str | None) -> None:
    given_ = parameters(output_format=audio_format, sample_rate=rate, bit_rate=asked)
    effective = open_encoder(given_, RATE, engine_speed=True, engine_pitch=True).effective
    assert (effective.format, effective.sample_rate, effective.bit_rate) == (
        audio_format,
        rate,
        used,
    )


def test_heavy_is_what_has_a_codec_or_another_tempo_or_pitch() -> None:
    assert not heavy(parameters(output_format="pcm", sample_rate=48000, volume=3.0))
    assert not heavy(parameters(output_format="wav"))
    assert not any(heavy(parameters(output_format=name)) for name in TELEPHONE_FORMATS)
    assert heavy(parameters(output_format="pcm", speed=1.1))
    assert heavy(parameters(output_format="pcm", pitch=0.9))
    assert all(heavy(parameters(output_format=name)) for name in ("mp3", "opus", "aac", "flac"))


def test_silence() -> None:
    assert len(silence(0.02, 24000)) == 480
    assert len(silence(0, 24000)) == 1
    assert not silence(0.02, 8000).any()
