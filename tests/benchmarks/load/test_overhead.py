import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.overhead import THIS, main


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


def test_two_checkouts_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        [
            *("--streams", "2", "--seconds", "0.5", "--chunk-seconds", "0.05"),
            *("--flat-out-streams", "1", "--flat-out-chunks", "20"),
            *("--against", str(THIS), "--rounds", "1", "--out", str(tmp_path)),
        ]
    )
    output, errors = capsys.readouterr()
    assert code == 0, errors
    assert output.splitlines()[0].split()[:4] == ["level", "figure", "this", "other"]
    report = json.loads((tmp_path / "overhead-compared.json").read_text())
    assert report["other"] == str(THIS)
    found = [(ratio["level"], ratio["figure"]) for ratio in report["ratios"]]
    assert found == [
        ("start", "seconds to start"),
        ("start", "idle MiB"),
        ("2 streams, real time", "CPU µs per message"),
        ("2 streams, real time", "added p50 ms"),
        ("2 streams, real time", "added p95 ms"),
        ("2 streams, real time", "added p99 ms"),
        ("1 stream, flat out", "CPU µs per message"),
    ]
    assert all(ratio["this"] > 0 and ratio["other"] > 0 for ratio in report["ratios"])


def test_only_a_checkout_can_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--against", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "not a checkout" in capsys.readouterr().err
