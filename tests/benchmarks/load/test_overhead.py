import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.overhead import main


@pytest.mark.parametrize("transport", ["binary", "base64"])
def test_the_servers_share_is_measured(
    transport: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            *("--streams", "3", "--seconds", "0.5", "--chunk-seconds", "0.05"),
            *("--flat-out-streams", "2", "--flat-out-chunks", "20"),
            *("--transport", transport, "--out", str(tmp_path)),
        ]
    )
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["streams", "3", "2"]
    paced, flat_out = json.loads((tmp_path / "overhead.json").read_text())["runs"]
    assert paced["messages"] == 30
    assert paced["added"]["count"] == 3 * (10 - 3)
    assert 0 < paced["added"]["p50"] < paced["seconds"]
    assert flat_out["added"] is None
    assert flat_out["messages_per_core"] > 0
