from __future__ import annotations

import json
import math

import pytest

from cosyserve.benchmarks.parity.report import (
    EXACT,
    ParityRow,
    Status,
    Tolerance,
    as_json,
    print_rows,
    summary,
)

ROWS = [
    ParityRow("b", "mel", Status.OK, Tolerance(1e-4), 2.5e-6),
    ParityRow("b", "pcm_0", Status.OVER, Tolerance(5e-2, 2e-3), math.nan, math.inf, "not a number"),
    ParityRow("b", "quiet", Status.OVER, Tolerance(1e-4), 4e-3, reason="near silence", known=True),
    ParityRow("b", "other", Status.INFO, Tolerance(None), 0.5),
    ParityRow("b", "gone", Status.MISSING, EXACT),
]


def test_the_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "b.safetensors",
        "array  largest  rms  tolerance        result",
        "mel    2.5e-06       0.0001           ok",
        "pcm_0  nan      inf  0.05, rms 0.002  over: not a number",
        "quiet  0.004         0.0001           over (known): near silence",
        "other  0.5           none             info",
        "gone                 exact            missing",
    ]


def test_the_summary_counts() -> None:
    assert summary(ROWS, ["a", "c"]).splitlines() == [
        "5 rows: 1 ok, 2 over, 1 info, 1 missing, 1 of those over for a known reason",
        "not in the folder: a.safetensors, c.safetensors",
    ]
    assert "not in" not in summary(ROWS, [])


def test_only_what_is_within_known_or_without_tolerance_passes() -> None:
    fails = {row.array for row in ROWS if row.fails}
    assert fails == {"pcm_0", "gone"}
    for status in Status:
        passes = status in (Status.OK, Status.INFO)
        assert ParityRow("b", "a", status).fails is not passes


def test_json_has_no_number_that_json_lacks() -> None:
    found = as_json(ROWS, ["a"])
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["rows"][1] == {
        "file": "b",
        "array": "pcm_0",
        "status": "over",
        "largest": None,
        "rms": None,
        "tolerance": {"largest": 0.05, "rms": 0.002},
        "reason": "not a number",
        "known": False,
    }
    assert found["passed"] is False
    assert as_json([ROWS[0], ROWS[2], ROWS[3]], [])["passed"] is True


def test_tolerances() -> None:
    assert Tolerance(1e-4).allows(1e-4, 9.0)
    assert not Tolerance(1e-4).allows(math.nan, 0.0)
    assert not Tolerance(1.0, rms=0.1).allows(0.5, 0.2)
    assert not EXACT.allows(1e-12, 0.0)
    assert Tolerance(None).allows(math.inf, 0.0)
