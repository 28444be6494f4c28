"""Conversion: the same model, in files that map."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError, convert, open_checkpoint
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS
from cosyserve.engine.cosyvoice.lm.qwen2 import TIED_HEAD


def test_round_trip(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "converted").mkdir()
    made = convert(whole, tmp_path / "converted")
    source = open_checkpoint(whole)
    assert made.files is not None
    assert made.files.converted
    assert made.config == source.config
    assert made.voice_fingerprint == source.voice_fingerprint
    for part in PARTS:
        due = {k: v for k, v in source.weights[part].items() if k != TIED_HEAD}
        assert made.weights[part].keys() == due.keys()
        assert all(torch.equal(made.weights[part][key], due[key]) for key in due)
    assert [path.suffix for path in made.files.weights.values()] == [".safetensors"] * 3


def test_the_result_stands_alone(folder: Path, tmp_path: Path) -> None:
    torch.save({}, folder / "spk2info.pt")
    convert(folder, tmp_path / "converted")
    shutil.rmtree(folder)
    made = open_checkpoint(tmp_path / "converted")
    assert made.files is not None
    assert made.files.spk2info is not None
    assert not any(path.is_symlink() for path in (tmp_path / "converted").rglob("*"))


def test_a_converted_one_converts(whole: Path, tmp_path: Path) -> None:
    first = convert(whole, tmp_path / "first")
    second = convert(tmp_path / "first", tmp_path / "second")
    assert first.fingerprint == second.fingerprint


def test_tensors_that_share_memory_are_written_apart(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / "flow.pt", weights_only=True)
    both = torch.randn(2, 32)
    state["encoder.after_norm.weight"], state["encoder.after_norm.bias"] = both[0], both[1]
    torch.save(state, folder / "flow.pt")
    made = convert(folder, tmp_path / "converted")
    assert torch.equal(made.weights["flow"]["encoder.after_norm.bias"], both[1])


def test_nothing_is_overwritten(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(CheckpointError, match="already there"):
            convert(whole, tmp_path / name)
    with pytest.raises(CheckpointError, match="already there"):
        convert(whole, whole)
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_a_failure_leaves_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert(whole, tmp_path / "deep" / "converted")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_broken_source_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "hift.pt").unlink()
    with pytest.raises(CheckpointError, match=r"hift\.pt: missing"):
        convert(folder, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()
