"""What `check` says of a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint import check, open_checkpoint
from support.engines import tiny_checkpoint
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer


def test_a_whole_checkpoint(whole: Path) -> None:
    report = check(whole, values=True)
    assert report.ok
    assert report.config == tiny_checkpoint.TINY
    assert report.fingerprint == open_checkpoint(whole).fingerprint
    assert report.files["llm.pt"] == (whole / "llm.pt").stat().st_size
    llm = report.parts[0]
    assert (llm.part, llm.file, llm.tensors) == ("llm", "llm.pt", 31)
    assert dict(llm.dtypes) == {"float32": llm.parameters}
    due = {k: v for k, v in tiny_checkpoint.weights("llm").items() if "lm_head" not in k}
    assert llm.parameters == sum(tensor.numel() for tensor in due.values())


def test_the_table_has_it_all(whole: Path) -> None:
    table = check(whole).table()
    for text in ("speech_tokenizer_v2.onnx", "float32", "flow.encoder.num_blocks", "complete"):
        assert text in table
    assert all(len(line) < 120 for line in table.splitlines())


def test_all_is_reported_at_once(folder: Path) -> None:
    (folder / "llm.pt").write_bytes(b"not a zip")
    (folder / "campplus.onnx").write_bytes(b"not a model")
    (folder / "CosyVoice-BlankEN/vocab.json").write_text("[")
    report = check(folder)
    assert not report.ok
    assert [part.part for part in report.parts] == ["flow", "hift"]
    text = "\n".join(report.problems)
    for named in ("llm.pt: not a whole archive", "campplus.onnx", "vocab.json"):
        assert named in text
    assert "problem: llm.pt: " in report.table()


@pytest.mark.parametrize("name", ["absent", "cosyvoice2.yaml"])
def test_no_directory(whole: Path, name: str) -> None:
    report = check(whole / name)
    assert not report.ok
    assert "not a directory" in report.table()


def test_missing_files(tmp_path: Path) -> None:
    report = check(tmp_path)
    assert "llm.pt: missing" in report.problems
    assert report.files == {}


def test_sizes_that_disagree(folder: Path) -> None:
    path = folder / "cosyvoice2.yaml"
    path.write_text(path.read_text().replace("base_channels: 32", "base_channels: 64"))
    report = check(folder)
    assert report.config is None
    assert report.problems == (
        "cosyvoice2.yaml hift.base_channels is 64, but hift.pt's weights show 32",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(folder: Path, value: float) -> None:
    state = torch.load(folder / "flow.pt", weights_only=True)
    state["encoder_proj.weight"][3, 5] = value
    torch.save(state, folder / "flow.pt")
    assert check(folder).ok
    assert check(folder, values=True).problems == ("flow.pt: encoder_proj.weight: not finite",)


def test_onnx_models_that_do_not_fit(folder: Path) -> None:
    write_speaker_encoder(folder / "campplus.onnx", size=100)
    write_speech_tokenizer(folder / "speech_tokenizer_v2.onnx", tokens=5)
    (line,) = check(folder).problems
    assert "campplus.onnx" in line
    shutil.copy(folder / "campplus.onnx", folder / "speech_tokenizer_v2.onnx")
    assert len(check(folder).problems) == 2


def test_a_tokenizer_with_too_many_tokens(tmp_path: Path) -> None:
    tiny = tiny_checkpoint.TINY
    lm = {**tiny.flatten(), "lm.vocab_size": 300}
    folder = tiny_checkpoint.build(tmp_path, 0, type(tiny).from_flat(lm))
    (line,) = check(folder).problems
    assert line.startswith("CosyVoice-BlankEN: ")
    assert "llm knows 300" in line
