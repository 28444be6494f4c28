"""The whole encoder: tempo, volume and sample rate before every codec."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.listening.audio import decode, median_pitch, speechlike
from support.listening.encoding import FORMATS, RATE, encode, joined, whole

CHUNKINGS = [[1, 7, 300], [480], [4800], [137, 5000, 1], [240_000]]


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize(
    "stages",
    [
        {},
        {"volume": 0.5},
        {"volume": 4.0},
        {"speed": 1.3},
        {"sample_rate": 48000},
        {"pitch": 1.3},
        {"speed": 0.7, "sample_rate": 16000, "volume": 3.0},
        {"pitch": 2.0, "speed": 0.5, "sample_rate": 16000, "volume": 0.5},
    ],
    ids=lambda stages: "+".join(stages) or "plain",
)
def test_chunked_is_whole(audio_format: str, stages: dict[str, object]) -> None:
    speech = speechlike(RATE, 0.8)
    rate = int(stages.get("sample_rate", RATE))  # type: ignore[call-overload]
    expected, told = whole(speech, output_format=audio_format, **stages)
    for sizes in CHUNKINGS:
        results = encode(speech, sizes, output_format=audio_format, **stages)
        assert sum(result.seconds for result in results) == pytest.approx(told, abs=1e-9)
        if audio_format == "opus":  # an Ogg stream has a random number
            got, want = (
                decode(data, audio_format, rate)[0] for data in (joined(results), expected)
            )
            np.testing.assert_array_equal(got, want)
        else:
            assert joined(results) == expected


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=8),
    speed=st.sampled_from([1.0, 0.5, 0.9, 2.0]),
    volume=st.sampled_from([1.0, 0.3, 10.0]),
    rate=st.sampled_from([8000, 22050, 24000, 44100]),
    pitch=st.sampled_from([1.0, 0.5, 1.2, 2.0]),
)
def test_any_chunking_of_any_stages_is_whole(
    sizes: list[int], speed: float, volume: float, rate: int, pitch: float
) -> None:
    speech = speechlike(22050, 0.5)
    stages = {
        "output_format": "pcm",
        "speed": speed,
        "volume": volume,
        "sample_rate": rate,
        "pitch": pitch,
    }
    expected, _ = whole(speech, rate=22050, **stages)
    assert joined(encode(speech, sizes, rate=22050, **stages)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_tempo_keeps_the_pitch(speed: float) -> None:
    speech = speechlike(RATE, 2.0, pitch=150)
    data, told = whole(speech, output_format="pcm", speed=speed)
    assert told == pytest.approx(2.0 / speed, abs=0.001)
    decoded, _ = decode(data, "pcm", RATE)
    assert median_pitch(decoded, RATE) == pytest.approx(150, rel=0.02)
    assert np.std(decoded) == pytest.approx(np.std(speech), rel=0.1)


@pytest.mark.parametrize("speed", [1.0, 0.5, 1.5])
@pytest.mark.parametrize("pitch", [0.5, 0.85, 1.2, 2.0])
def test_pitch_keeps_the_length(pitch: float, speed: float) -> None:
    speech = speechlike(RATE, 2.0, pitch=150)
    data, told = whole(speech, output_format="pcm", pitch=pitch, speed=speed)
    assert told == pytest.approx(2.0 / speed, abs=0.001)
    decoded, _ = decode(data, "pcm", RATE)
    assert median_pitch(decoded, RATE) == pytest.approx(150 * pitch, rel=0.02)
    assert np.std(decoded) == pytest.approx(np.std(speech), rel=0.1)


def test_pitch_is_left_to_an_engine_that_has_it() -> None:
    speech = speechlike(RATE, 0.5)
    data, _ = whole(speech, engine_pitch=True, output_format="pcm", pitch=2.0)
    assert data == whole(speech, output_format="pcm")[0]


def test_tempo_is_left_to_an_engine_that_has_it() -> None:
    speech = speechlike(RATE, 0.5)
    data, _ = whole(speech, engine_speed=True, output_format="pcm", speed=2.0)
    assert len(data) == 2 * len(speech)


@pytest.mark.parametrize("volume", [0.1, 0.5, 1.5])
def test_volume_scales_what_has_room(volume: float) -> None:
    speech = speechlike(RATE, 1.0) * np.float32(0.8)
    data, _ = whole(speech, output_format="pcm", volume=volume)
    decoded, _ = decode(data, "pcm", RATE)
    np.testing.assert_allclose(decoded, speech * volume, atol=3e-5)


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_volume_ten_neither_wraps_nor_clips(rate: int) -> None:
    speech = speechlike(RATE, 2.0)
    data, told = whole(speech, output_format="pcm", volume=10.0, sample_rate=rate)
    loud, _ = decode(data, "pcm", rate)
    assert told == pytest.approx(2.0, abs=0.001)
    assert np.std(loud) > 2 * np.std(speech)
    assert np.abs(loud).max() < 0.98
    step, high = np.abs(np.diff(loud)), np.abs(loud[1:]) > 0.5
    assert np.mean(step > 1.3) < 0.006
    assert np.mean(step[high] == 0) < 0.005
