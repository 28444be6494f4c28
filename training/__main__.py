"""`python -m cosyserve.training STAGE --work DIR`: see README.md in this folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError
from cosyserve.engine.interface import EngineNotReady

from . import flow, speaker, vocoder
from .checkpoint import assembly, evaluation
from .corpus import stage as data
from .corpus.stage import installed_voices
from .corpus.teachers import TEACHERS, TeacherError
from .corpus.texts import SENTENCES
from .lm import stage as lm
from .recipe import FULL, SMALL, Recipe
from .tokenizer import stage as tokenizer
from .work import OtherRecipe, StageMissing, WorkFolder


def _data(work: WorkFolder, recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    voices = installed_voices(options.teachers)
    return data.run(work, recipe, voices, workers=options.workers, texts=options.texts)


_Stage = Callable[[WorkFolder, Recipe, argparse.Namespace], dict[str, Any]]

STAGES: Final[dict[str, _Stage]] = {
    data.STAGE: _data,
    tokenizer.STAGE: lambda work, recipe, _: tokenizer.run(work, recipe),
    speaker.STAGE: lambda work, recipe, _: speaker.run(work, recipe),
    lm.STAGE: lambda work, recipe, _: lm.run(work, recipe),
    flow.STAGE: lambda work, recipe, _: flow.run(work, recipe),
    vocoder.STAGE: lambda work, recipe, _: vocoder.run(work, recipe),
    assembly.STAGE: lambda work, recipe, _: assembly.run(work, recipe),
    evaluation.STAGE: lambda work, recipe, _: evaluation.run(work, recipe),
}
"""In the order in which `all` runs them."""


_FAILURES: Final = (
    OtherRecipe,
    StageMissing,
    TeacherError,
    CheckpointError,
    EngineNotReady,
    FloatingPointError,
)
"""What is told in a line."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.training",
        description="Train a small CosyVoice 2 checkpoint, stage by stage. A stage that was stopped goes on.",
    )
    parser.add_argument("stage", choices=["all", *STAGES])
    parser.add_argument("--work", type=Path, required=True, help="the folder of this training")
    parser.add_argument("--small", action="store_true", help="few texts and steps: a trial run")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the stage data")
    parser.add_argument("--texts", type=Path, default=SENTENCES, help="sentences, one a line (.xz)")
    parser.add_argument(
        "--teachers", nargs="+", choices=[*TEACHERS], help="default: all that are installed"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    work, recipe = WorkFolder(options.work), SMALL if options.small else FULL
    try:
        work.begin("small" if options.small else "full")
        for name in STAGES if options.stage == "all" else [options.stage]:
            if options.stage != "all" or work.figures(name) is None:
                work.finish(name, STAGES[name](work, recipe, options))
    except _FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
