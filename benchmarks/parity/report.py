"""What came of each comparison, as a table and as JSON."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cosyserve.clients.cli.tables import print_table

_COLUMNS = ("array", "largest", "rms", "tolerance", "result")


class Status(enum.Enum):
    """OK: within the tolerance. OVER: not. INFO: a difference without a tolerance, to look at.

    MISSING: an array that a check needs is not there. UNKNOWN: no check takes the array. UNCHECKED: its
    check cannot be made without something else that is missing. ERROR: our code raised.
    """

    OK = "ok"
    OVER = "over"
    INFO = "info"
    MISSING = "missing"
    UNKNOWN = "unknown"
    UNCHECKED = "unchecked"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """largest: absolute difference of a value; 0 for exact, None for no tolerance. rms: of all of them."""

    largest: float | None
    rms: float | None = None

    def allows(self, largest: float, rms: float) -> bool:
        """NaN is never within."""
        return (self.largest is None or largest <= self.largest) and (
            self.rms is None or rms <= self.rms
        )

    def __str__(self) -> str:
        if self.largest is None:
            return "none"
        shown = "exact" if self.largest == 0 else f"{self.largest:.3g}"
        return shown if self.rms is None else f"{shown}, rms {self.rms:.3g}"


EXACT = Tolerance(0.0)


@dataclass(frozen=True, slots=True)
class ParityRow:
    """One line of the table.

    largest: largest absolute difference (of lists: how many entries differ); None: nothing was compared.
    rms: shown where the tolerance has one. reason: why it is not ok. known: over for a reason that is
    documented, and by no more than that explains.
    """

    file: str
    array: str
    status: Status
    tolerance: Tolerance | None = None
    largest: float | None = None
    rms: float | None = None
    reason: str = ""
    known: bool = False

    @property
    def fails(self) -> bool:
        """Whether it keeps the exit status from being 0."""
        return self.status not in (Status.OK, Status.INFO) and not self.known

    @property
    def result(self) -> str:
        shown = f"{self.status.value} (known)" if self.known else self.status.value
        return f"{shown}: {self.reason}" if self.reason else shown


def print_rows(rows: Sequence[ParityRow]) -> None:
    """Print the rows of one file under its name."""
    print(f"{rows[0].file}.safetensors", flush=True)
    print_table(_COLUMNS, [_cells(row) for row in rows])


def summary(rows: Sequence[ParityRow], absent: Sequence[str]) -> str:
    """The counts, and the files that were not there."""
    counts = Counter(row.status.value for row in rows)
    known = sum(row.known for row in rows)
    parts = [f"{counts[status.value]} {status.value}" for status in Status if counts[status.value]]
    if known:
        parts.append(f"{known} of those over for a known reason")
    lines = [f"{len(rows)} rows: {', '.join(parts)}"]
    if absent:
        lines.append("not in the folder: " + ", ".join(f"{name}.safetensors" for name in absent))
    return "\n".join(lines)


def as_json(rows: Sequence[ParityRow], absent: Sequence[str]) -> dict[str, object]:
    """{"passed", "rows", "absent"}; a difference that is no finite number is null."""
    return {
        "passed": not any(row.fails for row in rows),
        "absent": list(absent),
        "rows": [_plain(row) for row in rows],
    }


def _cells(row: ParityRow) -> tuple[str, ...]:
    largest = "" if row.largest is None else f"{row.largest:.3g}"
    rms = "" if row.rms is None else f"{row.rms:.3g}"
    tolerance = "" if row.tolerance is None else str(row.tolerance)
    return row.array, largest, rms, tolerance, row.result


def _plain(row: ParityRow) -> dict[str, object]:
    finite = {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in (("largest", row.largest), ("rms", row.rms))
    }
    tolerance = None if row.tolerance is None else asdict(row.tolerance)
    return {
        "file": row.file,
        "array": row.array,
        "status": row.status.value,
        **finite,
        "tolerance": tolerance,
        "reason": row.reason,
        "known": row.known,
    }
