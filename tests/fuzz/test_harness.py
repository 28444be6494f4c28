"""How cases are made, kept and made shorter."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest

from fuzz import FUZZERS, harness
from fuzz.harness import MOST_FINDINGS, Outcome, TooMuchWork, bounded_work, fuzz
from fuzz.mutation import mutated_bytes, mutated_json


class Digits:
    """Its cases are digits, of which some are broken."""

    name, cases, batch, shrinking, repeatable = "digits", 100, 3, 100, True

    def __init__(self, broken: Sequence[bytes] = ()) -> None:
        self.broken = broken
        self.checked: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def seeds(self) -> Sequence[bytes]:
        return [b"1"]

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        return case + b"%d" % rng.randrange(10) if len(case) < 12 else other

    def check(self, cases: Sequence[bytes]) -> list[Outcome]:
        self.checked += cases
        return [self._check(case) for case in cases]

    def _check(self, case: bytes) -> Outcome:
        found = [each for each in self.broken if each in case]
        return Outcome(str(len(case)), f"{chr(97 + int(found[0]))} is broken" if found else None)


def test_a_seed_makes_the_same_cases_each_time() -> None:
    first, second, other = Digits(), Digits(), Digits()
    for fuzzer, seed in ((first, 1), (second, 1), (other, 2)):
        fuzz(fuzzer, seed, lambda cases: cases < 100)
    assert first.checked == second.checked
    assert first.checked != other.checked


def test_cases_with_new_outcomes_are_changed_further() -> None:
    fuzzer = Digits()
    report = fuzz(fuzzer, 1, lambda cases: cases < 500)
    assert report.kinds == 12
    assert max(map(len, fuzzer.checked)) == 12
    unsteered = Digits()
    fuzz(unsteered, 1, lambda cases: cases < 500, steered=False)
    assert max(map(len, unsteered.checked)) == 2


def test_a_finding_is_made_short_and_each_problem_is_told_once(tmp_path: Path) -> None:
    fuzzer, told = Digits([b"77", b"5"]), list[str]()
    report = fuzz(fuzzer, 1, lambda cases: cases < 2000, tmp_path, told.append)
    assert sorted(finding.file.read_bytes() for finding in report.findings) == [b"5", b"77"]
    assert [str(finding) for finding in report.findings] == told
    assert all(f"fuzz digits {finding.file}" in str(finding) for finding in report.findings)


def test_a_run_ends_with_so_many_findings(tmp_path: Path) -> None:
    report = fuzz(
        Digits([b"%d" % digit for digit in range(2, 10)]),
        1,
        lambda cases: cases < 10_000,
        tmp_path,
        lambda _: None,
    )
    assert len(report.findings) == MOST_FINDINGS


def test_past_findings_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "a").write_bytes(b"99")
    monkeypatch.setattr(harness, "CORPUS", tmp_path)
    fuzzer = Digits()
    fuzz(fuzzer, 1, lambda cases: False)
    assert fuzzer.checked == [b"99", b"1"]


def test_the_corpus_has_a_fuzzer_for_each_file() -> None:
    assert {file.parent.name for file in harness.CORPUS.rglob("*") if file.is_file()} <= set(
        FUZZERS
    )


def test_work_without_end_is_ended() -> None:
    def work() -> None:
        with bounded_work(0.05):
            while True:
                pass

    with pytest.raises(TooMuchWork):
        work()


@pytest.mark.parametrize("mutate", [mutated_bytes, mutated_json])
def test_mutations_change_most_cases_and_stay_bounded(
    mutate: Callable[[bytes, random.Random], bytes],
) -> None:
    rng, seed = random.Random(0), b'{"a": [1, 2, {"b": "text"}], "c": null}'
    found = [mutate(seed, rng) for _ in range(500)]
    assert len(set(found)) > 300
    assert max(map(len, found)) < 8 * 1024 * 1024
