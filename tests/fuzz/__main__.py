"""Look for faults with fresh cases, for as long as is wanted; or check the cases of files again.

    PYTHONPATH=tests python -m fuzz [NAME ...] [--minutes N] [--seed N]
    PYTHONPATH=tests python -m fuzz NAME FILE ...

Each finding is written to a file, and told with the command that checks it again. Exits with 1 if there
is one.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import warnings
from pathlib import Path

from . import FUZZERS
from .harness import Fuzzer, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", help=f"of {', '.join(FUZZERS)}; or one of them, and files"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for each; 10 if not given")
    parser.add_argument("--seed", type=int, help="of the cases; a new one if not given")
    asked = parser.parse_args()
    warnings.simplefilter("error")  # as in tests
    names = [each for each in asked.what if each in FUZZERS]
    files = [Path(each) for each in asked.what if each not in FUZZERS]
    if files and (len(names) != 1 or not all(file.is_file() for file in files)):
        parser.error("files need the name of one fuzzer before them, and must be there")
    if files:
        with FUZZERS[names[0]]() as fuzzer:
            return _again(fuzzer, files)
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    failed = False
    for name in names or FUZZERS:
        with FUZZERS[name]() as fuzzer:
            failed |= _fresh(fuzzer, seed, 60 * asked.minutes)
    return int(failed)


def _fresh(fuzzer: Fuzzer, seed: int, seconds: float) -> bool:
    """Whether something is found in this time."""
    began = time.monotonic()
    report = fuzz(fuzzer, seed, lambda _: time.monotonic() - began < seconds)
    found = f"{report.cases} cases, {report.kinds} outcomes, {len(report.findings)} findings"
    print(f"{fuzzer.name}: {found} in {time.monotonic() - began:.0f} s", flush=True)
    return bool(report.findings)


def _again(fuzzer: Fuzzer, files: list[Path]) -> int:
    failed = False
    for file in files:
        (outcome,) = fuzzer.check([file.read_bytes()])
        print(f"{file}: {outcome.problem or f'nothing is broken ({outcome.kind})'}")
        failed |= outcome.problem is not None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
