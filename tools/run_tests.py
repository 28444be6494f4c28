"""Runs the tests in stages and says how long each took, beside its budget.

    python tools/run_tests.py [STAGE ...]

Without names all stages run, also after one has failed. Exits with 0 if no test failed. A budget is for
two cores with nothing else to do; a stage that takes longer is marked and fails nobody.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

WORKERS: Final = ("-n", "auto", "--maxprocesses", "4")  # each comes to hold up to 2 GB
BY_TEST: Final = (*WORKERS, "--dist", "worksteal")
BY_FILE: Final = (*WORKERS, "--dist", "loadfile", "--no-loadscope-reorder")
"""Where a file's tests share what is slow to start. In the order of the paths: the longest come first."""


@dataclass(frozen=True)
class Stage:
    """budget: seconds. arguments: of pytest."""

    name: str
    budget: int
    arguments: tuple[str, ...]


STAGES: Final = (
    Stage("product", 540, (*BY_TEST, "-m", "not vllm and not browser", "tests",
                           "--ignore", "tests/third_party", "--ignore", "tests/deploy",
                           "--ignore", "tests/fuzz")),
    Stage("fuzz", 60, (*BY_TEST, "tests/fuzz")),
    Stage("vllm", 165, (*BY_FILE, "-m", "vllm", "tests/journeys/test_vllm.py",
                        "tests/benchmarks/model/test_lm.py", "tests/engine/cosyvoice/lm/vllm")),
    # One after the other: a browser that gets no processor has gaps in its sound.
    Stage("browser", 90, ("-m", "browser", "tests/journeys/page", "tests/server/page")),
    Stage("third-party", 80, (*BY_FILE, "tests/third_party")),
    Stage("deploy", 15, ("tests/deploy",)),
)  # fmt: skip


def main(names: list[str]) -> int:
    known = {stage.name: stage for stage in STAGES}
    if unknown := [name for name in names if name not in known]:
        print(f"no stage {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [known[name] for name in names] or list(STAGES)
    # Workers share the cores: what computes in threads of its own would wait for theirs.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    lines, failed = [], False
    for stage in wanted:
        print(f"== {stage.name}", flush=True)
        command = [sys.executable, "-m", "pytest", *stage.arguments]
        began = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        seconds = time.monotonic() - began
        failed |= status != 0
        lines.append((stage.name, seconds, stage.budget, "failed" if status else ""))
    if len(lines) > 1:
        took, budget = sum(line[1] for line in lines), sum(line[2] for line in lines)
        lines.append(("in all", took, budget, ""))
    print(f"\n{'stage':12}{'seconds':>8}{'budget':>8}")
    for name, took, budget, note in lines:
        marks = ", ".join(filter(None, ["over budget" if took > budget else "", note]))
        print(f"{name:12}{took:8.0f}{budget:8}  {marks}".rstrip())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
