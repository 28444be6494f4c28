"""`python -m cosyserve.benchmarks.parity FOLDER`: see the package."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError

from .folder import FolderError, GoldenFolder, GoldenModels
from .report import ParityRow, as_json, print_rows, summary
from .running import SECTIONS, chosen, run, strangers

_PRECISIONS: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 0 if all is within its tolerance, 1 if not, 2 if the folder cannot be used."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: {options.json.parent}: not a folder")
    rows: list[ParityRow] = []
    try:
        folder, precision = GoldenFolder(options.folder), _PRECISIONS[options.precision]
        names = chosen(options.only, folder)
        for found in run(folder, GoldenModels(folder, options.weights, precision), names):
            rows += _shown(found)
    except (FolderError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not options.only:
        for found in strangers(folder):
            rows += _shown(found)
    absent = [name for name in SECTIONS if not folder.has(name)]
    print(summary(rows, absent))
    if options.json is not None:
        _write(options.json, as_json(rows, absent))
    return 1 if any(row.fails for row in rows) else 0


def _write(path: Path, report: dict[str, object]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(report, file, indent=1, allow_nan=False)
        file.write("\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.parity",
        description="Runs golden vectors of the reference through our implementation.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAMES",
        help="files, or beginnings of their names, with commas between: b_flow,f_llm",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="a checkpoint's directory, in place of the folder's own weights and config.json",
    )
    parser.add_argument(
        "--precision",
        choices=sorted(_PRECISIONS),
        default="float32",
        help="of the flow's steps and the LM; the differences of half precision are over the tolerances",
    )
    return parser


def _shown(rows: list[ParityRow]) -> list[ParityRow]:
    print_rows(rows)
    print(flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
