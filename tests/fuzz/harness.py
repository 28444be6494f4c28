"""What all fuzzers share: cases are mutated and checked, and a case that breaks something becomes a file.

A case is bytes, all that a fuzzer needs to do the same again. It is made of a case before it, so that it
is well-formed for the most part: of a seed, or of a case whose outcome was new (`Outcome.kind`). The cases
of past findings, in `corpus/`, come first.
"""

from __future__ import annotations

import hashlib
import random
import re
import signal
import time
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
_MOST_KINDS: Final = 200_000
_SHRINKING_SECONDS: Final = 60.0
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
    shrinking: how many are checked to find a shorter one with the same problem. repeatable: whether the
    outcome of a case is the same each time, however long things take.
    """

    name: str
    cases: int
    batch: int
    shrinking: int
    repeatable: bool

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
    folder: Path = FINDINGS,
    tell: Callable[[str], None] = print,
    *,
    steered: bool = True,
) -> Report:
    """Check the corpus, then cases for as long as `wanted`, called with how many there were, says so.

    folder: for what is found. tell: is given each finding as soon as it is known. steered: whether cases
    whose outcome is new are changed further; if not, the cases are the same each time.
    """
    run = _Run(fuzzer, seed, folder, tell, steered=steered)
    known = [file.read_bytes() for file in corpus(fuzzer.name)]
    for begin in range(0, len(known), fuzzer.batch):
        run.take(known[begin : begin + fuzzer.batch])
    run.take(fuzzer.seeds())
    while wanted(run.report.cases) and len(run.report.findings) < MOST_FINDINGS:
        run.take(run.made())
    return run.report


class _Run:
    """The state of a run: the cases to make others of, and what is known so far."""

    def __init__(
        self, fuzzer: Fuzzer, seed: int, folder: Path, tell: Callable[[str], None], *, steered: bool
    ) -> None:
        self.report = Report()
        self._fuzzer = fuzzer
        self._rng = random.Random(seed)
        self._folder = folder
        self._tell = tell
        self._steered = steered
        self._seeds = list(fuzzer.seeds())
        self._kept = list(self._seeds)  # the seeds, and cases whose outcome was new
        self._kinds: set[str] = set()
        self._problems: set[str] = set()

    def made(self) -> list[bytes]:
        """The cases of a batch."""
        rng, found = self._rng, []
        for _ in range(self._fuzzer.batch):
            # As often one of the seeds as one of all that were kept: those are many, and much alike.
            case = rng.choice(self._seeds if rng.random() < 0.5 else self._kept)
            found.append(self._fuzzer.mutated(case, rng.choice(self._kept), rng))
        return found

    def take(self, cases: Sequence[bytes]) -> None:
        """Check cases, and take note of what came of them."""
        for case, outcome in zip(cases, self._fuzzer.check(cases), strict=True):
            self.report.cases += 1
            if outcome.problem is not None:
                self._found(outcome.case or case, outcome.problem)
            elif outcome.kind not in self._kinds and len(self._kinds) < _MOST_KINDS:
                self._kinds.add(outcome.kind)
                if self._steered and len(case) <= _LONGEST_KEPT:
                    self._keep(case)
        self.report.kinds = len(self._kinds)

    def _keep(self, case: bytes) -> None:
        if len(self._kept) < _MOST_KEPT:
            self._kept.append(case)
        else:
            self._kept[self._rng.randrange(len(self._seeds), _MOST_KEPT)] = case

    def _found(self, case: bytes, problem: str) -> None:
        """Write a case with a new problem to a file, as short as can be."""
        if (what := _without_values(problem)) in self._problems:
            return
        self._problems.add(what)
        case, problem = _shrunk(self._fuzzer, case, problem)
        file = self._folder / self._fuzzer.name / hashlib.sha256(case).hexdigest()[:12]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(case)
        self.report.findings.append(Finding(self._fuzzer.name, file, problem))
        self._tell(str(self.report.findings[-1]))


def _shrunk(fuzzer: Fuzzer, case: bytes, problem: str) -> tuple[bytes, str]:
    """A shorter case with the same problem: without records, then without bytes, that it does not need."""
    what, checks = _without_values(problem), 0
    end = time.monotonic() + _SHRINKING_SECONDS
    for divider in (SEPARATOR, b""):
        parts = case.split(divider) if divider else [bytes((byte,)) for byte in case]
        size = len(parts) // 2
        while size:
            at = 0
            while at < len(parts) and checks < fuzzer.shrinking and time.monotonic() < end:
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
