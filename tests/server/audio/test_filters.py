"""Tempo, resampling and gain, without a codec."""

from __future__ import annotations

import numpy as np
import pytest

from cosyserve.server.audio.filters import Filter, FilterGraph, Through, open_filters, sound
from support.listening.audio import Floats


def run(filters: Filter, samples: Floats) -> Floats:
    return np.concatenate((filters.feed(samples), filters.finish()))


def tone(rate: int, hertz: float, seconds: float = 1.0) -> Floats:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


def test_stages_that_change_nothing_are_left_out() -> None:
    assert isinstance(open_filters(24000, 24000), Through)
    assert not isinstance(open_filters(24000, 24000, gain=0.5), FilterGraph)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000, 44100, 48000])
def test_a_tone_keeps_its_pitch_level_and_place_at_another_rate(rate: int) -> None:
    got = run(open_filters(24000, rate), 0.5 * tone(24000, 1000))
    assert len(got) == rate
    inner = slice(rate // 50, -rate // 50)
    np.testing.assert_allclose(got[inner], 0.5 * tone(rate, 1000)[inner], atol=0.002)


def test_what_a_lower_rate_cannot_hold_does_not_fold_back() -> None:
    got = run(open_filters(48000, 8000), tone(48000, 6000))
    assert np.std(got[100:-100]) < 0.003


def test_the_limiter_turns_down_before_the_peak_comes() -> None:
    quiet = 0.05 * tone(24000, 300)
    click = quiet.copy()
    click[12000] = 1.0
    got = run(open_filters(24000, 24000, gain=5.0), click)
    assert len(got) == len(click)
    assert np.abs(got).max() <= 0.9701
    assert int(np.argmax(np.abs(got))) == 12000
    np.testing.assert_allclose(got[:11000], 5 * quiet[:11000], atol=1e-4)


def test_quieter_and_resampled_at_once() -> None:
    got = run(open_filters(24000, 16000, gain=0.25), tone(24000, 500))
    inner = slice(400, -400)
    np.testing.assert_allclose(got[inner], 0.25 * tone(16000, 500)[inner], atol=0.002)


@pytest.mark.parametrize("tempo", [0.5, 0.77, 1.01, 1.5, 2.0])
def test_another_tempo_has_no_clicks(tempo: float) -> None:
    slow = tone(24000, 200, 2.0)
    got = run(open_filters(24000, 24000, tempo=tempo), slow)
    assert len(got) / 24000 == pytest.approx(2 / tempo, abs=0.02)
    steepest = np.abs(np.diff(slow)).max()
    assert np.abs(np.diff(got)).max() < 1.3 * steepest


@pytest.mark.parametrize("tempo", [0.5, 0.8, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("pitch", [0.5, 0.9, 1.05, 1.5, 1.9])
def test_another_pitch_keeps_the_length_and_has_no_clicks(tempo: float, pitch: float) -> None:
    slow = 0.5 * tone(24000, 200, 2.0)
    got = run(open_filters(24000, 24000, tempo=tempo, pitch=pitch), slow)
    assert len(got) == round(48000 / tempo)
    inner = got[500:-1500]
    strongest = np.argmax(np.abs(np.fft.rfft(inner * np.hanning(len(inner)))))
    assert strongest * 24000 / len(inner) == pytest.approx(200 * pitch, rel=0.01)
    assert np.abs(np.diff(inner)).max() < 1.5 * pitch * np.abs(np.diff(slow)).max()
    assert np.std(inner) == pytest.approx(np.std(slow), rel=0.05)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.05, 0.3])
def test_short_sounds_keep_their_length_at_another_pitch(seconds: float) -> None:
    got = run(open_filters(24000, 48000, tempo=0.5, pitch=2.0), tone(24000, 300, seconds))
    assert len(got) == round(max(seconds, 0.02) * 48000 * 2)
    assert np.abs(got).max() > 0.3


def test_sound_leaves_good_samples_alone() -> None:
    row = tone(8000, 100)
    assert np.shares_memory(sound(row), row)
    np.testing.assert_array_equal(sound(row), row)
    assert sound(np.array([np.nan, 1, np.inf], np.float32)).tolist() == [0, 1, 0]
