"""One golden file while it is gone through: what its checks took, and what came of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from torch import Tensor

from .folder import GoldenFolder
from .report import EXACT, ParityRow, Status, Tolerance


class MissingArray(KeyError):
    """An array that a check needs is not in the file."""


@dataclass(frozen=True, slots=True)
class Known:
    """Why the tolerance cannot be met where the mask says; limit: the largest difference that explains."""

    where: Tensor
    limit: float
    reason: str


class GoldenFile(Mapping[str, Tensor]):
    """The arrays by name, and the rows of their checks. Reading an array counts as taking it.

    meta: the cases' details.
    """

    def __init__(self, folder: GoldenFolder, name: str) -> None:
        """Raises FolderError."""
        self.name = name
        self.meta: dict[str, Any] = folder.meta(name)
        self.rows: list[ParityRow] = []
        self._arrays = folder.arrays(name)
        self._taken: set[str] = set()

    def __getitem__(self, key: str) -> Tensor:
        """Raises MissingArray."""
        if key not in self._arrays:
            raise MissingArray(key)
        self._taken.add(key)
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, key: object) -> bool:
        return key in self._arrays

    def matching(self, pattern: str) -> list[re.Match[str]]:
        """The names that match as a whole, in the file's order."""
        found = (re.fullmatch(pattern, key) for key in self._arrays)
        return [match for match in found if match is not None]

    @contextmanager
    def check(self, key: str, tolerance: float | Tolerance, note: str = "") -> Iterator[Comparison]:
        """Compare within it; whatever it raises becomes its row, so that other checks go on.

        key: of the golden array, or a name for what is compared; note: tells two checks of one array apart.
        """
        self._taken.add(key)
        allowed = tolerance if isinstance(tolerance, Tolerance) else Tolerance(tolerance)
        label = f"{key}, {note}" if note else key
        comparison = Comparison(self, key, ParityRow(self.name, label, Status.UNCHECKED, allowed))
        try:
            yield comparison
        except MissingArray as error:
            absent = str(error.args[0])
            reason = "" if absent == key else f"needs {absent}, which is not there"
            comparison.row = replace(comparison.row, status=Status.MISSING, reason=reason)
        except Exception as error:  # the row says so; the other arrays are still to be compared
            reason = f"{type(error).__name__}: {error}"
            comparison.row = replace(comparison.row, status=Status.ERROR, reason=reason)
        self.rows.append(comparison.row)

    def leave(self, reason: str) -> None:
        """A row for every array that no check has taken: none can be made."""
        left = [key for key in self._arrays if key not in self._taken]
        self.rows += [ParityRow(self.name, key, Status.UNCHECKED, reason=reason) for key in left]
        self._taken.update(left)

    def finish(self) -> None:
        """A row for every array that no check has taken."""
        self.rows += [
            ParityRow(self.name, key, Status.UNKNOWN, reason="no check took this array")
            for key in self._arrays
            if key not in self._taken
        ]


@dataclass(slots=True)
class Comparison:
    """One check under way, and its row."""

    file: GoldenFile
    key: str
    row: ParityRow

    def tensors(
        self,
        found: Tensor,
        golden: Tensor | None = None,
        *,
        where: Tensor | None = None,
        known: Known | None = None,
    ) -> None:
        """Ours with the golden array of the check's name, or with another; where: only at these places."""
        wanted = self.file[self.key] if golden is None else golden
        if found.shape != wanted.shape:
            self._over(f"{list(found.shape)} where {list(wanted.shape)} is due")
            return
        off = (found.double() - wanted.double()).abs()
        largest, rms = _largest(off if where is None else off[where]), _rms(off)
        self._measured(largest, rms)
        if self.row.status is Status.OVER and known is not None:
            self._explain(off, known)

    def lists(self, found: Sequence[object], golden: Sequence[object]) -> None:
        """Entry by entry."""
        pairs = list(zip_longest(found, golden, fillvalue=None))
        differ = [at for at, (ours, theirs) in enumerate(pairs) if ours != theirs]
        self._measured(float(len(differ)), 0.0)
        if differ:
            ours, theirs = pairs[differ[0]]
            reason = f"{len(differ)} entries differ, first at {differ[0]}: {ours}, golden {theirs}"
            self.row = replace(self.row, reason=reason)

    def _measured(self, largest: float, rms: float) -> None:
        allowed = self.row.tolerance or EXACT
        status = Status.OK if allowed.allows(largest, rms) else Status.OVER
        if allowed.largest is None:
            status = Status.INFO
        shown = None if allowed.rms is None else rms
        self.row = replace(self.row, status=status, largest=largest, rms=shown)

    def _over(self, reason: str) -> None:
        self.row = replace(self.row, status=Status.OVER, reason=reason)

    def _explain(self, off: Tensor, known: Known) -> None:
        allowed = self.row.tolerance or EXACT
        where = known.where.expand_as(off)
        elsewhere, there = off[~where], off[where]
        if not allowed.allows(_largest(elsewhere), 0.0) or not _largest(there) <= known.limit:
            return
        over = int((there > (allowed.largest or 0.0)).sum())
        reason = f"{over} of {off.numel()} values, all {known.reason}"
        self.row = replace(self.row, reason=reason, known=True)


def _largest(off: Tensor) -> float:
    return float(off.max()) if off.numel() else 0.0


def _rms(off: Tensor) -> float:
    return float(off.square().mean().sqrt()) if off.numel() else 0.0
