from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.siege import main


@pytest.mark.parametrize("megabytes", [0.1, 3])
def test_an_attack_is_measured(
    megabytes: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            *("whole-answers", "--answers", "3", "--megabytes", str(megabytes)),
            *("--out", str(tmp_path)),
        ]
    )
    output, errors = capsys.readouterr()
    assert code == 0, errors
    assert "answers by status: 3 of 200;" in output
    found = json.loads((tmp_path / "siege.json").read_text())
    assert found["statuses"] == {"200": 3}
    assert 0 < found["idle_mib"] < found["peak_mib"]
    assert 0 < found["quiet"]["median"] <= found["quiet"]["longest"]


def test_an_attack_ends_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        [
            *("whole-answers", "--answers", "2", "--megabytes", "300", "--seconds", "0.01"),
            *("--out", str(tmp_path)),
        ]
    )
    assert code == 0
    assert "2 of 0;" in capsys.readouterr().out
