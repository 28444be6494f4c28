import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load import floods
from cosyserve.benchmarks.load.floods import FLOODS, THIS, main


def test_both_checkouts_are_measured_in_each_flood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floods, "FLOODS", (FLOODS[0], FLOODS[4]))
    code = main(["--tasks", "2", "--against", str(THIS), "--out", str(tmp_path)])
    output, errors = capsys.readouterr()
    assert code == 0, errors
    assert output.splitlines()[0].split()[:2] == ["flood", "checkout"]
    runs = json.loads((tmp_path / "floods.json").read_text())["runs"]
    names = ("none", "one-character texts")
    assert [(run["flood"], run["checkout"]) for run in runs] == [
        (name, checkout) for name in names for checkout in ("this", "other")
    ]
    assert all(run["first_sound"]["count"] == 2 and run["failed"] == 0 for run in runs)


def test_only_a_checkout_can_be_measured(tmp_path: Path) -> None:
    assert main(["--tasks", "1", "--against", str(tmp_path), "--out", str(tmp_path)]) == 1
