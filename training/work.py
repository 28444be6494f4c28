"""The work folder: a folder for each stage, with its log, its results, and its figures once it is done."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cosyserve.engine.files import write_file

_FIGURES: Final = "figures.json"


_RECIPE: Final = "recipe.txt"


class StageMissing(Exception):
    """A stage needs the results of an earlier one. Names it."""


class OtherRecipe(Exception):
    """The work folder was begun by another recipe. Names the folder."""


class Log:
    """JSON lines, appended to a file; what matters is also printed."""

    def __init__(self, path: Path, stage: str) -> None:
        self._path = path
        self._stage = stage

    def write(self, **entries: Any) -> None:
        line = json.dumps({"time": round(time.time(), 1), **_rounded(entries)})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"{self._stage} {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """The folder of one training."""

    root: Path

    def folder(self, stage: str) -> Path:
        """The stage's folder, made if need be."""
        folder = self.root / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def begin(self, recipe: str) -> None:
        """Note the recipe's name, so that states and shards of two never meet. Raises OtherRecipe."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / _RECIPE
        if not path.is_file():
            write_file(path, recipe.encode())
        elif (begun := path.read_text(encoding="utf-8")) != recipe:
            raise OtherRecipe(f"{self.root} was begun by the recipe {begun}; name another folder")

    def log(self, stage: str) -> Log:
        return Log(self.folder(stage) / "log.jsonl", stage)

    def finish(self, stage: str, figures: dict[str, Any]) -> None:
        """Mark a stage as done. figures: what came of it."""
        content = json.dumps(_rounded(figures), indent=1) + "\n"
        write_file(self.folder(stage) / _FIGURES, content.encode())
        self.log(stage).write(done=True, **figures)

    def figures(self, stage: str) -> dict[str, Any] | None:
        """The figures of a stage that is done, else None."""
        path = self.root / stage / _FIGURES
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def need(self, stage: str) -> Path:
        """The folder of a stage that is done. Raises StageMissing."""
        if self.figures(stage) is None:
            raise StageMissing(f"{self.root}: the stage {stage} is not done; run it first")
        return self.root / stage


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.5g}") if isinstance(value, float) else value
        for name, value in values.items()
    }
