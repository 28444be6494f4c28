import json
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.overhead import THIS
from cosyserve.benchmarks.load.siege import __main__ as siege
from cosyserve.benchmarks.load.siege import result
from cosyserve.benchmarks.load.siege.__main__ import main
from cosyserve.benchmarks.load.siege.attack import Attack
from cosyserve.benchmarks.load.siege.result import Cost
from cosyserve.benchmarks.stats import Summary


def test_a_siege_is_measured_and_a_missed_goal_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "MEMORY_MIB", 1.0)
    code = main(
        [
            "head-long",
            "--voice",
            "alba",
            "--seconds",
            "0.5",
            "--scale",
            "0.02",
            "--out",
            str(tmp_path),
        ]
    )
    output, errors = capsys.readouterr()
    assert code == 1, errors
    lines = output.splitlines()
    assert lines[0].startswith("attack ")
    assert lines[1].startswith("head-long  this ")
    assert " over  " in lines[1]
    assert any(line.startswith("missed: head-long: memory ") for line in lines[2:])
    found = json.loads((tmp_path / "siege.json").read_text())
    (measured,) = found["costs"]
    assert measured["first_sound"]["count"] > 0
    assert measured["failed"] == {}
    assert measured["got"].keys() == {"400"}
    assert 0 < measured["idle_mib"] <= measured["peak_mib"]
    assert measured["errors"] == []
    assert found["missed"].keys() == {"head-long"}
    table = (tmp_path / "siege.md").read_text().splitlines()
    assert table[0].startswith("| attack | checkout | ")
    assert table[2].startswith("| head-long | this | ")


def test_another_checkout_is_attacked_too_and_has_no_goals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked = []

    async def measure(
        attack: Attack,
        seconds: float,
        scale: float,
        voice: str | None,
        checkout: str,
        packages: Path | None,
    ) -> Cost:
        attacked.append((attack.name, checkout, packages is None))
        return cost(checkout=checkout, peak=100 if checkout == "this" else 1000)

    monkeypatch.setattr(siege, "measure", measure)
    assert main(["head-long", "foreign", "--against", str(THIS), "--out", str(tmp_path)]) == 0
    assert attacked == [
        (name, checkout, checkout == "this")
        for name in ("head-long", "foreign")
        for checkout in ("this", "other")
    ]


@pytest.mark.parametrize("arguments", [["no-such"], ["none", "--against", "/nowhere"]])
def test_a_siege_that_cannot_be_led(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2


def cost(
    p95: float | None = 0.05,
    failed: dict[str, int] | None = None,
    peak: float = 100,
    got: dict[str, int] | None = None,
    errors: list[str] | None = None,
    checkout: str = "this",
    goal: float | None = 0.1,
) -> Cost:
    waits = None if p95 is None else Summary(20, 0.01, 0.01, 0.02, p95, 0.3, 0.4)
    return Cost(
        "attack", checkout, 1.0, got or {}, goal, waits, failed or {}, 90, peak, 1.0, errors or []
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (cost(got={"200": 5, "503": 1}), []),
        (cost(p95=0.1), ["first sound p95 100.0 ms, goal: below 100.0"]),
        (cost(p95=0.1, goal=None), []),
        (cost(p95=None), ["no other client was served"]),
        (cost(failed={"Throttled": 2}), ["other clients' tasks failed: Throttled: 2"]),
        (cost(peak=601), ["memory 601 MiB, over 600"]),
        (
            cost(got={"unanswered": 2, "delete 500": 1}),
            ["2 times unanswered", "1 times delete 500"],
        ),
        (cost(errors=["one", "two"]), ["2 errors in the log, the first: one"]),
    ],
)
def test_goals(found: Cost, told: list[str]) -> None:
    assert list(found.missed()) == told
