"""The commands that look at and rewrite a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.cli import model
from support.engines import tiny_checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.build(tmp_path_factory.mktemp("checkpoint"))


def test_check(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", str(whole), "--values"]) == 0
    assert "complete: nothing is missing" in capsys.readouterr().out


def test_check_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", str(tmp_path)]) == 1
    assert "problem: llm.pt: missing" in capsys.readouterr().out


def test_convert(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "converted"
    assert model(["convert", str(whole), str(target)]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert model(["check", str(target)]) == 0


def test_convert_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["convert", str(tmp_path), str(tmp_path / "converted")]) == 1
    said = capsys.readouterr()
    assert "cosyserve model: llm.pt: missing\n" in said.err
    assert said.out == ""


def test_an_id_without_a_revision(capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", "someone/model"]) == 1
    assert "needs a revision" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "code"), [([], 2), (["paint"], 2), (["--help"], 0)])
def test_usage(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        model(argv)
    assert stop.value.code == code
    said = capsys.readouterr()
    assert "usage: cosyserve model" in (said.err if code else said.out)
