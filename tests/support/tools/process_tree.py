"""The processes below a process."""

from __future__ import annotations

from pathlib import Path

from cosyserve.benchmarks.load.launch import children


def descendants(pid: int) -> dict[int, str]:
    """Those that live, with their names as far as the kernel keeps them (15 letters)."""
    found: dict[int, str] = {}
    for child in children(pid):
        try:
            name = Path(f"/proc/{child}/comm").read_text().strip()
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            below = descendants(child)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if state != "Z":
            found[child] = name
        found |= below
    return found
