"""The settings of the embedded engine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

_MOST_WORKERS = 4


def default_workers() -> int:
    """One worker per CPU that this process may use, four at most: each does hundreds of sentences a
    second."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(max(1, cpus or 1), _MOST_WORKERS)


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """How the embedded engine runs.

    workers: processes that synthesise.
    default_language: BCP-47; how to read what the script does not tell (Latin text, or Han as `yue`).
    strip_markup: whether marks of Markdown and HTML in texts are taken out, and not read.
    sentence_pause, clause_pause: seconds of silence between sentences and clauses at speed 1.
    work_ahead: a session asks for more speech once its reader has less than this many seconds unread.
    job_limit: seconds after which a worker that is still at one job is killed.
    start_limit: seconds a worker may take to start.
    voice_cache: voices of reference clips to remember.

    Raises ValueError.
    """

    workers: int = field(default_factory=default_workers)
    default_language: str = "en-us"
    strip_markup: bool = True
    sentence_pause: float = 0.28
    clause_pause: float = 0.15
    work_ahead: float = 1.0
    job_limit: float = 10.0
    start_limit: float = 15.0
    voice_cache: int = 1024

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        if self.voice_cache < 1:
            raise ValueError(f"voice_cache must be at least 1, not {self.voice_cache}")
        for name in ("sentence_pause", "clause_pause", "work_ahead"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("job_limit", "start_limit"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
