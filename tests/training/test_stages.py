"""All stages after each other at a size that takes seconds; what comes of them is served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint import check
from cosyserve.training import __main__ as command
from cosyserve.training import flow, speaker, vocoder
from cosyserve.training.checkpoint import assembly, evaluation
from cosyserve.training.corpus import stage as data
from cosyserve.training.lm import stage as lm
from cosyserve.training.tokenizer import stage as tokenizer
from cosyserve.training.weights import load_tensors
from cosyserve.training.work import Log, WorkFolder
from support.engines import cosyvoice
from support.engines.tiny_training import RECIPE, VOICES, write_texts

TRAINED = (tokenizer.STAGE, speaker.STAGE, lm.STAGE, flow.STAGE, vocoder.STAGE)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> WorkFolder:
    root = tmp_path_factory.mktemp("work")
    work = WorkFolder(root)
    work.finish(data.STAGE, data.run(work, RECIPE, VOICES, texts=write_texts(root)))
    for stage in (tokenizer, speaker, lm, flow, vocoder, assembly):
        work.finish(stage.STAGE, stage.run(work, RECIPE))
    work.finish(evaluation.STAGE, evaluation.run(work, RECIPE, lambda: _hears_nothing))
    return work


def _hears_nothing(wave: object) -> str:
    return ""


def log(work: WorkFolder, stage: str) -> list[dict[str, Any]]:
    text = (work.root / stage / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("stage", TRAINED)
def test_losses_are_finite_and_fall(work: WorkFolder, stage: str) -> None:
    losses = [line["loss"] for line in log(work, stage) if "loss" in line]
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]


def test_the_lm_is_measured_against_another_text(work: WorkFolder) -> None:
    assert all("text_gain" in line for line in log(work, lm.STAGE) if "loss" in line)
    figures = work.figures(lm.STAGE)
    assert figures is not None
    assert {"unistream", "bistream", "text_gain", "phoneme_error_rate"} <= figures.keys()


def test_the_checkpoint_is_complete_and_in_half_precision(work: WorkFolder) -> None:
    report = check(work.root / assembly.STAGE / assembly.MODEL, values=True)
    assert report.ok, report.problems
    assert {kind for part in report.parts for kind in part.dtypes} == {"float16"}


async def test_the_checkpoint_speaks_by_its_own_voices_and_by_a_clip(work: WorkFolder) -> None:
    model = work.root / assembly.STAGE / assembly.MODEL
    async with cosyvoice.running(model) as engine:
        assert {voice.id for voice in engine.capabilities.voices} == {"high", "low"}
        own = engine.builtin_prompt("high")
        assert own is not None
        for prompt in (own, await engine.prepare_prompt(cosyvoice.reference())):
            assert len(await cosyvoice.speak(engine, prompt, ["the cat ", "sat"], seed=1))


def test_the_whole_is_heard_beside_the_teachers(work: WorkFolder) -> None:
    figures = work.figures(evaluation.STAGE)
    assert figures is not None
    kinds = ("teacher", "copy", "whole")
    assert [figures[f"{kind}_word_error_rate"] for kind in kinds] == [1.0, 1.0, 1.0]
    folder = work.root / evaluation.STAGE
    assert len([*folder.glob("*.wav")]) == len(kinds) * RECIPE.spoken


class _Killed(Exception): ...


@pytest.mark.parametrize(
    ("stage", "weights"),
    [(tokenizer, "network.safetensors"), (flow, flow.WEIGHTS)],
    ids=["tokenizer", "flow"],
)
def test_a_killed_stage_arrives_where_it_would_have(
    work: WorkFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Any, weights: str
) -> None:
    again = WorkFolder(tmp_path)
    for name in (data.STAGE, tokenizer.STAGE, speaker.STAGE):
        if name != stage.STAGE:
            shutil.copytree(work.root / name, tmp_path / name)
    write = Log.write

    def until_six(self: Log, **entries: Any) -> None:
        if entries.get("step") == 6:
            raise _Killed
        write(self, **entries)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", until_six)
        with pytest.raises(_Killed):
            stage.run(again, RECIPE)
    stage.run(again, RECIPE)
    assert [line["step"] for line in log(again, stage.STAGE)][:3] == [2, 4, 6]
    whole = load_tensors(work.root / stage.STAGE / weights)
    for name, tensor in load_tensors(again.root / stage.STAGE / weights).items():
        assert torch.equal(tensor, whole[name]), name


def test_shards_that_are_there_are_kept(work: WorkFolder, tmp_path: Path) -> None:
    shutil.copytree(work.root / data.STAGE, tmp_path / data.STAGE)
    [listing] = (tmp_path / data.STAGE).glob("[0-9]*.json")
    before = listing.stat().st_mtime_ns
    data.run(WorkFolder(tmp_path), RECIPE, VOICES, texts=write_texts(tmp_path))
    assert listing.stat().st_mtime_ns == before


def test_a_folder_has_one_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["speaker", "--work", str(tmp_path)])
    capsys.readouterr()
    assert command.main(["speaker", "--work", str(tmp_path), "--small"]) == 1
    assert "begun by the recipe full" in capsys.readouterr().err


def test_a_stage_without_the_one_before_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["tokenizer", "--work", str(tmp_path)]) == 1
    assert "the stage data is not done" in capsys.readouterr().err


def test_several_processes_make_the_same_shards(work: WorkFolder, tmp_path: Path) -> None:
    again = WorkFolder(tmp_path)
    data.run(again, RECIPE, VOICES, workers=2, texts=write_texts(tmp_path))
    [made] = (again.root / data.STAGE).glob("*.safetensors")
    known = load_tensors(work.root / data.STAGE / made.name)
    for name, tensor in load_tensors(made).items():
        assert torch.equal(tensor, known[name]), name
