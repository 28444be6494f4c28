"""What all fuzzers share: cases are mutated and checked, and a case that breaks something becomes a file.

A case is bytes, all that a fuzzer needs to do the same again. It is made of a case before it, so that it
is well-formed for the most part: of a seed, or of a case whose outcome was new (`Outcome.kind`). A run is
determined by its seed; past findings, in `corpus/`, come first.
"""

from __future__ import annotations

import hashlib
import random
import re
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, Self

CORPUS: Final = Path(__file__).parent / "corpus"
FINDINGS: Final = Path(__file__).parents[2] / "fuzz-findings"
"""Where a case that breaks something is written."""
SEPARATOR: Final = b"\n%%\n"
"""Between the records of a case: frames of a connection, bytes that are sent at once."""
MOST_FINDINGS: Final = 5
"""Different ones, after which a run ends."""
_MOST_KEPT: Final = 4000
_LONGEST_KEPT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case.

    kind: the same for cases that went the same way, whatever values they had. problem: what is broken, on
    its first line, and details; None if nothing is. case: what broke it, if that is not the case itself.
    """

    kind: str
    problem: str | None = None
    case: bytes | None = None


class Fuzzer(Protocol):
    """One way in. A context, in which `check` can be called.

    cases: how many CI checks, about 15 s of them on two cores. batch: how many are checked at once.
    shrinking: how many are checked to find a shorter one with the same problem.
    """

    name: str
    cases: int
    batch: int
    shrinking: int

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def seeds(self) -> Sequence[bytes]:
        """Well-formed cases."""

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        """A case made of one, and perhaps of a part of the other."""

    def check(self, cases: Sequence[bytes]) -> list[Outcome]:
        """What came of each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that breaks something, and where it is kept."""

    fuzzer: str
    file: Path
    problem: str

    def __str__(self) -> str:
        again = f"PYTHONPATH=tests .venv/bin/python -m fuzz {self.fuzzer} {self.file}"
        return f"{self.fuzzer}: {self.problem}\nrun it again: {again}"


@dataclass(slots=True)
class Report:
    """What a run came to. kinds: different outcomes."""

    cases: int = 0
    kinds: int = 0
    findings: list[Finding] = field(default_factory=list)


def corpus(name: str) -> list[Path]:
    """The past findings of a fuzzer."""
    return sorted((CORPUS / name).glob("*"))


def fuzz(
    fuzzer: Fuzzer,
    seed: int,
    wanted: Callable[[int], bool],
    findings: Path = FINDINGS,
    tell: Callable[[str], None] = print,
) -> Report:
    """Check the corpus, then cases for as long as `wanted`, called with how many there were, says so.

    findings: the folder for what is found. tell: is given each finding as soon as it is known.
    """
    rng = random.Random(seed)
    pool, kinds, report = list(fuzzer.seeds()), set[str](), Report()
    own = len(pool)
    told: set[str] = set()

    def take(cases: Sequence[bytes]) -> None:
        for case, outcome in zip(cases, fuzzer.check(cases), strict=True):
            report.cases += 1
            if outcome.problem is not None:
                if (what := _without_values(outcome.problem)) not in told:
                    told.add(what)
                    report.findings.append(
                        _written(fuzzer, outcome.case or case, outcome.problem, findings)
                    )
                    tell(str(report.findings[-1]))
            elif outcome.kind not in kinds:
                kinds.add(outcome.kind)
                if len(case) <= _LONGEST_KEPT and len(pool) < _MOST_KEPT:
                    pool.append(case)

    known = [file.read_bytes() for file in corpus(fuzzer.name)]
    for begin in range(0, len(known), fuzzer.batch):
        take(known[begin : begin + fuzzer.batch])
    take(pool[:own])
    while wanted(report.cases) and len(report.findings) < MOST_FINDINGS:
        batch = []
        for _ in range(fuzzer.batch):
            # As often one of the seeds as one of all that were kept: those are many, and much alike.
            case = rng.choice(pool[:own] if rng.random() < 0.5 else pool)
            batch.append(fuzzer.mutated(case, rng.choice(pool), rng))
        take(batch)
    report.kinds = len(kinds)
    return report


def _written(fuzzer: Fuzzer, case: bytes, problem: str, folder: Path) -> Finding:
    case, problem = _shrunk(fuzzer, case, problem)
    file = folder / fuzzer.name / hashlib.sha256(case).hexdigest()[:12]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(case)
    return Finding(fuzzer.name, file, problem)


def _shrunk(fuzzer: Fuzzer, case: bytes, problem: str) -> tuple[bytes, str]:
    """A shorter case with the same problem: without records, then without bytes, that it does not need."""
    what = _without_values(problem)
    checks = 0
    for divider in (SEPARATOR, b""):
        parts = case.split(divider) if divider else [bytes((byte,)) for byte in case]
        size = len(parts) // 2
        while size:
            at = 0
            while at < len(parts) and checks < fuzzer.shrinking:
                shorter = divider.join(parts[:at] + parts[at + size :])
                (outcome,) = fuzzer.check([shorter])
                checks += 1
                if outcome.problem is not None and _without_values(outcome.problem) == what:
                    case, problem, parts = shorter, outcome.problem, parts[:at] + parts[at + size :]
                else:
                    at += size
            size //= 2
    return case, problem


def _without_values(problem: str) -> str:
    """What makes two problems the same one."""
    return without_values(problem.splitlines()[0])


def without_values(message: str) -> str:
    """A message less what is in quotes, and less its numbers."""
    return re.sub(r"\d+", "#", re.sub(r"'[^']*('|\.\.\.)|\"[^\"]*(\"|\.\.\.)", "...", message))


def unexpected(error: BaseException) -> str:
    """A problem's words for an exception that should not come out: its type, its place, its traceback."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {place.name}, {Path(place.filename).name}"
    return f"{where}\n{''.join(traceback.format_exception(error))[-3000:]}"


class TooMuchWork(BaseException):
    """A case took far more processor time than any of its size may."""


@contextmanager
def bounded_work(seconds: float) -> Iterator[None]:
    """Raises TooMuchWork once this process has used so much processor time: a busy machine adds none."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooMuchWork(f"over {seconds:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
