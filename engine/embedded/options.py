"""The options of the engine, and their defaults. Imports no library: the server's settings read it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

_FEWEST_WORKERS: Final = 2
"""So that one speaks while another is replaced."""
_MOST_WORKERS: Final = 8
"""Each synthesises a hundred seconds of speech a second, and more."""


def _default_workers() -> int:
    """One per usable core, within the limits above."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(max(_FEWEST_WORKERS, cores or 1), _MOST_WORKERS)


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """workers: processes that synthesise.

    default_language: BCP-47; the language of text whose script does not tell (Latin; Han as `yue`).
    natural_voice: whether the natural voice speaks English, where it is installed.
    strip_markup: whether Markdown and HTML marks are removed from texts instead of read.
    sentence_pause, clause_pause: seconds of silence between sentences and clauses at speed 1.
    work_ahead: a session asks for more speech once its reader has less than this many seconds unread.
    job_limit: seconds after which a worker that is still at one job is killed.
    start_limit: seconds a worker may take to start.
    remembered_voices: voices of reference clips that are kept in memory.

    Raises ValueError.
    """

    workers: int = field(default_factory=_default_workers)
    default_language: str = "en-us"
    natural_voice: bool = True
    strip_markup: bool = True
    sentence_pause: float = 0.28
    clause_pause: float = 0.15
    work_ahead: float = 1.0
    job_limit: float = 10.0
    start_limit: float = 15.0
    remembered_voices: int = 1024

    def __post_init__(self) -> None:
        for name in ("workers", "remembered_voices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("sentence_pause", "clause_pause", "work_ahead"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("job_limit", "start_limit"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
