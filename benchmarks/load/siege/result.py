"""What an attack has cost, against what it may cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...report import milliseconds
from ...stats import Summary
from .attack import UNANSWERED

MEMORY_MIB: Final = 600.0
"""What the server's process may have at the most: half of it is uploads and their sound."""


@dataclass(frozen=True, slots=True)
class Cost:
    """checkout: whose server it was. got: what the attacker got; see Ground. goal: see Attack.first_sound.

    first_sound: of another token's tasks during the attack, s. failed: those of them that failed, by reason.
    idle_mib, peak_mib: the server's process, its workers not counted.
    log_kib: what the server wrote meanwhile; errors: lines of it that say that something went wrong inside.
    """

    attack: str
    checkout: str
    seconds: float
    got: dict[str, int]
    goal: float | None
    first_sound: Summary | None
    failed: dict[str, int]
    idle_mib: float
    peak_mib: float
    log_kib: float
    errors: list[str]

    def missed(self) -> Iterator[str]:
        """The goals that this attack made the server miss."""
        if self.first_sound is None:
            yield "no other client was served"
        elif self.goal is not None and self.first_sound.p95 >= self.goal:
            p95 = milliseconds(self.first_sound.p95)
            yield f"first sound p95 {p95} ms, goal: below {milliseconds(self.goal)}"
        if self.failed:
            yield f"other clients' tasks failed: {_told(self.failed)}"
        if self.peak_mib > MEMORY_MIB:
            yield f"memory {self.peak_mib:.0f} MiB, over {MEMORY_MIB:.0f}"
        for what, count in self.got.items():
            if what.endswith((UNANSWERED, "500")):
                yield f"{count} times {what}"
        if self.errors:
            yield f"{len(self.errors)} errors in the log, the first: {self.errors[0]}"


HEAD: Final = (
    "attack",
    "checkout",
    "tasks",
    "first sound p50",
    "p95",
    "max ms",
    "failed",
    "peak MiB",
    "the attacker got",
)


def row(cost: Cost) -> tuple[str, ...]:
    """As a row under HEAD."""
    waits = cost.first_sound
    over = " over" if cost.peak_mib > MEMORY_MIB else ""
    return (
        cost.attack,
        cost.checkout,
        str(waits.count if waits else 0),
        *(milliseconds(getattr(waits, name) if waits else None) for name in ("p50", "p95", "max")),
        str(sum(cost.failed.values())),
        f"{cost.peak_mib:.0f}{over}",
        _told(cost.got),
    )


def markdown(costs: Sequence[Cost]) -> str:
    """The table as Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *map(row, costs)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _told(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{what}: {count}" for what, count in most) or "-"
