"""The values of attributes."""

from __future__ import annotations

import math

import pytest

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.ssml.parse import (
    ATTRIBUTES,
    NEEDED,
    UNHEARD,
    Prosody,
    break_seconds,
    prosody,
    speak_prosody,
)


@pytest.mark.parametrize(
    ("time", "strength", "seconds"),
    [
        ("500ms", None, 0.5),
        ("1.5s", None, 1.5),
        (" +.25s ", None, 0.25),
        ("0s", None, 0),
        ("10s", None, 10),
        ("50ms", "x-strong", 0.05),
        (None, None, 0.4),
        (None, "none", 0),
        (None, "x-strong", 1.2),
    ],
)
def test_breaks(time: str | None, strength: str | None, seconds: float) -> None:
    assert break_seconds(time, strength, "") == pytest.approx(seconds)


@pytest.mark.parametrize("time", ["", "1", "10.1s", "-1s", "1 s", "1e3ms", "1h", "99999999999s"])
def test_breaks_that_make_no_sense(time: str) -> None:
    with pytest.raises(InvalidParameter, match=r"here: time is .*; allowed: from 0s to 10s"):
        break_seconds(time, None, "here")


@pytest.mark.parametrize(
    ("name", "value", "factor"),
    [
        ("rate", "fast", 1.33),
        ("rate", "1.2", 1.2),
        ("rate", "80%", 0.8),
        ("rate", "+20%", 1.2),
        ("rate", "-20%", 0.8),
        ("pitch", "x-high", 1.4),
        ("pitch", "+12st", 2.0),
        ("pitch", "-12st", 0.5),
        ("pitch", "default", 1.0),
        ("volume", "silent", 0.0),
        ("volume", "+6dB", 1.995),
        ("volume", "-6db", 0.501),
        ("volume", "50", 0.5),
        ("volume", "50%", 0.5),
        ("volume", "+50%", 1.5),
    ],
)
def test_prosody(name: str, value: str, factor: float) -> None:
    assert getattr(prosody({name: value}, ""), name) == pytest.approx(factor, abs=0.001)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", "+2st"),
        ("rate", "0"),
        ("rate", "nan"),
        ("rate", "-100%"),
        ("rate", "inf"),
        ("pitch", "200Hz"),
        ("pitch", "high-ish"),
        ("volume", "101"),
        ("volume", "+21dB"),
        ("volume", ""),
    ],
)
def test_prosody_that_makes_no_sense(name: str, value: str) -> None:
    with pytest.raises(InvalidParameter, match=f"here: {name} is .*; allowed: .*default"):
        prosody({name: value}, "here")


def test_nested_prosody_multiplies() -> None:
    assert Prosody(2.0, 0.5, 0.5) * Prosody(0.5, 3.0, 0.5) == Prosody(1.0, 1.5, 0.25)


def test_speak_has_a_volume_of_its_own() -> None:
    found = speak_prosody({"rate": "1.2", "pitch": "0.8", "volume": "75", "voice": "x"}, "")
    assert found == Prosody(1.2, 0.8, 1.5)
    assert speak_prosody({}, "") == Prosody()
    assert math.isclose(speak_prosody({"volume": "-20dB"}, "").volume, 0.1)
    with pytest.raises(InvalidParameter, match="50 leaves it"):
        speak_prosody({"volume": "101"}, "here")


def test_tables_agree() -> None:
    for table in (NEEDED, UNHEARD):
        for name, attributes in table.items():
            assert set(attributes) <= set(ATTRIBUTES[name])
