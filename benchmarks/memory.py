"""How much memory a process holds (Linux)."""

from __future__ import annotations

from pathlib import Path


def resident_kib(pid: int) -> int:
    """KiB of resident memory. Raises OSError if the process is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


def children(pid: int) -> list[int]:
    """The process's own children, of all of its threads. Raises OSError."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
