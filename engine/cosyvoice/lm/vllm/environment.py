"""What vLLM and the processes that it starts are told by the environment: they ask nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_DEFAULTS: Final[Mapping[str, str]] = {
    # Standard output is the server's own.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # It would report to its makers what runs here.
    "VLLM_NO_USAGE_STATS": "1",
    # A fork of a process with threads, which this one is, may hang.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}


def prepare() -> None:
    """Call before vLLM is imported. What the operator has set stays."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
