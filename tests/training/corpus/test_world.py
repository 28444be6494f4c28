"""WORLD itself, where it is installed: the rest of the training's tests do without it."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from cosyserve.training.corpus.teachers import Wave
from cosyserve.training.corpus.world import Shift, pitch, shifted

pytestmark = [
    pytest.mark.skipif(not find_spec("pyworld"), reason="pyworld is not installed"),
    pytest.mark.filterwarnings("ignore:pkg_resources"),
    pytest.mark.filterwarnings("ignore:Deprecated call to `pkg_resources"),
]


def voiced(hertz: float) -> Wave:
    """A second of ten harmonics."""
    times = np.arange(24000) / 24000
    parts = [np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, 11)]
    made: Wave = (0.2 * np.sum(parts, axis=0)).astype(np.float32)
    return made


def test_the_pitch_is_found_in_every_frame() -> None:
    found = pitch(voiced(150))
    assert len(found) == 50
    assert np.abs(found[5:45] - 150).max() < 3


def test_a_shifted_voice_has_another_pitch_and_the_same_length() -> None:
    made = shifted(voiced(150), Shift(pitch=1.5, tract=1.1))
    assert len(made) == 24000
    assert np.abs(pitch(made)[10:40] - 225).max() < 6
