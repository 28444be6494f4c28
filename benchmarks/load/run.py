"""All benchmarks of the server: latency against a server of its own, then overhead and soak.

python -m cosyserve.benchmarks.load.run --out bench-out     (`make bench` runs this)
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from . import latency, overhead, soak
from .launch import ServerDidNotStart, launched_server

RUNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("flat-out", ("--streams", "1,8,50", "--tasks", "20")),
    (
        "conversation",
        ("--streams", "1,8,50", "--tasks", "2", "--paced", "--tokens-per-second", "20"),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all benchmarks; returns the first exit code that is not 0."""
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", default="bench-out", help="folder for the JSON (default: bench-out)"
    )
    arguments = parser.parse_args(argv)
    try:
        status = asyncio.run(_latency(arguments.out))
    except ServerDidNotStart as error:
        print(error, file=sys.stderr)
        return 1
    return status or overhead.main(["--out", arguments.out]) or soak.main(["--out", arguments.out])


async def _latency(out: str) -> int:
    async with launched_server() as server:
        for name, flags in RUNS:
            print(f"\n{name}")
            arguments = ["--url", server.url, "--out", f"{out}/{name}", *flags]
            if status := await asyncio.to_thread(latency.main, arguments):
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
