"""The stages of the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import run_tests
from run_tests import STAGES, Stage
from support.tools.required import ROOT


@pytest.mark.parametrize("mark", ["vllm", "browser"])
def test_the_stage_of_a_mark_has_all_its_tests(mark: str) -> None:
    """The others leave them out, wherever they are."""
    (stage,) = [each for each in STAGES if each.name == mark]
    paths = [ROOT / each for each in stage.arguments if each.startswith("tests/")]
    assert all(path.exists() for path in paths)
    marked = [
        file
        for file in (ROOT / "tests").rglob("test_*.py")
        if re.search(rf"\bmark\.{mark}\b", file.read_text(encoding="utf-8"))
    ]
    assert marked
    assert not [file for file in marked if not any(file.is_relative_to(path) for path in paths)]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that fails, within its budget, and one that does not, beyond it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, body in (("bad", "assert False"), ("good", "pass")):
        (tmp_path / f"test_{name}.py").write_text(f"def test_it():\n    {body}\n")
    flags = ("-p", "no:cacheprovider", "-c", str(tmp_path / "pytest.ini"))
    stages = (
        Stage("bad", 100, (*flags, str(tmp_path / "test_bad.py"))),
        Stage("good", 0, (*flags, str(tmp_path / "test_good.py"))),
    )
    monkeypatch.setattr(run_tests, "STAGES", stages)


@pytest.mark.usefixtures("two")
def test_all_stages_run_and_are_told_with_their_budgets(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tests.main([]) == 1
    out = capfd.readouterr().out
    assert "1 failed" in out
    assert "1 passed" in out
    header, *lines = [line.split(maxsplit=3) for line in out.splitlines()[-4:]]
    assert header == ["stage", "seconds", "budget"]
    assert [(line[0], line[-1]) for line in lines[:2]] == [
        ("bad", "failed"),
        ("good", "over budget"),
    ]
    assert lines[2][:2] == ["in", "all"]


@pytest.mark.usefixtures("two")
def test_a_stage_that_is_asked_for_runs_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tests.main(["good"]) == 0
    assert "failed" not in capfd.readouterr().out


def test_a_stage_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests.main(["fast"]) == 2
    assert "no stage fast; there are product, fuzz," in capsys.readouterr().err
