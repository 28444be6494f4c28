"""`make demo`, with the real server and its embedded voice."""

import wave
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.demo import main


def test_the_demo_writes_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "demo.wav"
    code = main([str(target)])
    output, errors = capsys.readouterr()
    assert (code, errors) == (0, "")
    for figure in ("first package", "speech", "real-time factor"):
        assert f"\n  {figure} " in output
    with wave.open(str(target)) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (24000, 1)
        frames = sound.getnframes()
        loudest = max(sound.readframes(sound.getnframes()))
    assert 10 < frames / 24000 < 60
    assert loudest > 0
    assert target.stat().st_size == 44 + 2 * frames


def test_a_place_that_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "no" / "demo.wav")]) == 1
    assert "no/demo.wav" in capsys.readouterr().err
