"""What becomes of several channels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from cosyserve.server.voices.clip import decode_clip
from cosyserve.server.voices.downmix import ChannelMeter, mixed
from support.listening.audio import Floats, speechlike
from support.peers.uploads import LIMITS

RATE = 16000
SPEECH = speechlike(RATE, 1.5)
OTHER = speechlike(RATE, 1.5, pitch=210, seed=1)
HISS = np.random.default_rng(3).standard_normal(len(SPEECH)).astype(np.float32)
NOTHING = np.zeros_like(SPEECH)


def file_of(channels: list[Floats], container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.stack(channels, axis=1), RATE, format=container, subtype=subtype)
    return out.getvalue()


def mixed_down(channels: list[Floats], container: str) -> Floats:
    clip = decode_clip(file_of(channels, container), None, LIMITS)
    assert len(clip.samples) == len(SPEECH)
    return clip.samples


def assert_alike(samples: Floats, expected: Floats) -> None:
    """The same sound at the same level; its phase may be the opposite one."""
    assert abs(np.corrcoef(samples, expected)[0, 1]) > 0.99
    assert np.std(samples) == pytest.approx(np.std(expected), rel=0.05)


containers = pytest.mark.parametrize("container", ["WAV", "FLAC"])


@containers
@pytest.mark.parametrize("share", [1.0, 0.97, 0.8, 0.6])
def test_opposite_phases_do_not_cancel(share: float, container: str) -> None:
    assert_alike(mixed_down([SPEECH, -share * SPEECH], container), SPEECH)
    assert_alike(mixed_down([-share * SPEECH, SPEECH], container), SPEECH)


@containers
def test_opposite_phases_with_a_room_s_noise(container: str) -> None:
    channels = [SPEECH + 0.002 * HISS, -SPEECH + 0.002 * HISS[::-1]]
    assert_alike(mixed_down(channels, container), SPEECH)


@containers
@pytest.mark.parametrize("background", [0.0, 0.0005, 0.003])
def test_a_silent_channel_takes_no_level(background: float, container: str) -> None:
    assert_alike(mixed_down([SPEECH, background * HISS], container), SPEECH)
    assert_alike(mixed_down([background * HISS, SPEECH], container), SPEECH)


def test_a_constant_is_silence() -> None:
    assert_alike(mixed_down([SPEECH, NOTHING + 0.4], "WAV"), SPEECH)


@containers
def test_equal_and_unlike_channels_are_averaged(container: str) -> None:
    assert_alike(mixed_down([SPEECH, SPEECH], container), SPEECH)
    np.testing.assert_allclose(
        mixed_down([SPEECH, OTHER], container), (SPEECH + OTHER) / 2, atol=1e-4
    )


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "FLAC"])
def test_surround_sound(container: str) -> None:
    rumble = 0.9 * np.sin(2 * np.pi * 40 * np.arange(len(SPEECH)) / RATE).astype(np.float32)
    centre = [NOTHING, NOTHING, SPEECH, NOTHING, NOTHING, NOTHING]
    front = [SPEECH, SPEECH, SPEECH, NOTHING, NOTHING, NOTHING]
    everywhere = [SPEECH] * 6
    crossed = [SPEECH, -SPEECH, NOTHING, NOTHING, NOTHING, NOTHING]
    with_effects = [NOTHING, NOTHING, SPEECH, rumble, NOTHING, NOTHING]
    in_a_room = [0.02 * HISS, 0.02 * HISS[::-1], SPEECH, rumble, NOTHING, NOTHING]
    for channels in (centre, front, everywhere, crossed, with_effects):
        assert_alike(mixed_down(channels, container), SPEECH)
    assert np.corrcoef(mixed_down(in_a_room, container), SPEECH)[0, 1] > 0.98


@pytest.mark.parametrize("container", ["WAV", "AIFF", "CAF"])
@pytest.mark.parametrize("count", [3, 6, 8, 20])
def test_one_channel_of_many(count: int, container: str) -> None:
    channels = [NOTHING] * count
    channels[1] = SPEECH
    assert_alike(mixed_down(channels, container), SPEECH)


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_the_meter_counts_the_same_in_any_pieces(pieces: int) -> None:
    meter = ChannelMeter()
    columns = np.stack([SPEECH, -0.9 * SPEECH, 0.001 * HISS])
    for piece in np.array_split(columns, pieces, axis=1):
        meter.add(piece)
    weights = meter.weights()
    assert weights is not None
    assert weights.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(mixed(columns, weights), SPEECH)


@pytest.mark.parametrize(
    "columns",
    [
        np.stack([SPEECH]),
        np.stack([NOTHING, NOTHING]),
        np.stack([SPEECH, np.full_like(SPEECH, np.nan)]),
        np.stack([SPEECH, np.full_like(SPEECH, np.inf)]),
        np.zeros((2, 0), np.float32),
    ],
)
def test_nothing_to_choose_from_is_averaged(columns: Floats) -> None:
    meter = ChannelMeter()
    meter.add(columns)
    assert meter.weights() is None


def test_a_number_of_channels_that_changes_is_averaged() -> None:
    meter = ChannelMeter()
    meter.add(np.stack([SPEECH, NOTHING]))
    meter.add(np.stack([SPEECH]))
    assert meter.weights() is None
    np.testing.assert_array_equal(mixed(np.stack([SPEECH]), np.array([1.0, 0.0])), SPEECH)
