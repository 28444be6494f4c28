from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cosyserve.engine.cosyvoice.checkpoint import Checkpoint, from_state_dicts, open_folder
from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.vllm import convert
from cosyserve.engine.cosyvoice.lm.vllm.convert import Padding, converted, vllm_config
from support.engines import tiny_checkpoint


def checkpoint(seed: int = 0) -> Checkpoint:
    return from_state_dicts(tiny_checkpoint.TINY, llm=tiny_checkpoint.weights("llm", seed))


def test_what_is_written(tmp_path: Path) -> None:
    source = checkpoint()
    folder = converted(source, tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    said = json.loads((folder / "config.json").read_text())
    ids = IdSpace.of(source.config.lm)
    assert said["vocab_size"] == ids.head_size == 219
    assert said["embed_vocab_size"] == ids.size == 219 + 2 + 384
    assert said["architectures"] == ["CosyVoiceSpeechLM"]
    assert said["torch_dtype"] == "float32"
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"]
    rows = {
        0: ("speech_embedding.weight", 0),
        ids.fill: ("speech_embedding.weight", 218),
        ids.sos: ("llm_embedding.weight", 0),
        ids.task: ("llm_embedding.weight", 1),
        ids.text_begin: (tiny_checkpoint.TEXT_EMBEDDING, 0),
        ids.size - 1: (tiny_checkpoint.TEXT_EMBEDDING, 383),
    }
    for row, (key, place) in rows.items():
        assert torch.equal(embedding[row, :64], source.weights["llm"][key][place]), key
    assert torch.equal(tensors["lm_head.bias"], source.weights["llm"]["llm_decoder.bias"])
    layers = {key for key in tensors if key.startswith("model.layers.1.")}
    assert len(layers) == 12
    assert len(tensors) == 2 * 12 + 4


def test_the_published_sizes_need_no_padding() -> None:
    config = LmConfig()
    said = vllm_config(config, Padding.of(config), torch.bfloat16)
    assert (said["vocab_size"], said["embed_vocab_size"]) == (6564, 158502)
    assert (said["hidden_size"], said["rms_norm_eps"]) == (896, 1e-6)
    assert said["torch_dtype"] == "bfloat16"


def test_equal_content_is_written_once(tmp_path: Path) -> None:
    first = converted(checkpoint(), tmp_path)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert converted(checkpoint(), tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert converted(checkpoint(1), tmp_path) != first


def test_a_directory_is_known_by_its_weights_and_not_by_its_place(tmp_path: Path) -> None:
    one = tiny_checkpoint.build(tmp_path / "one")
    two = tiny_checkpoint.build(tmp_path / "two")
    other = tiny_checkpoint.build(tmp_path / "other", seed=1)
    folders = [converted(open_folder(path), tmp_path / "cache") for path in (one, two, other)]
    assert folders[0] == folders[1] != folders[2]


def test_processes_at_once_write_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock of a file is its opener's: threads stand for processes."""
    writes = []
    write = convert.save_file

    def counted(*arguments: object) -> None:
        writes.append(arguments)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(convert, "save_file", counted)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(converted(checkpoint(), tmp_path)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 6
    assert len(writes) == 1


def test_a_write_that_fails_leaves_nothing_and_one_that_died_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(convert, "save_file", full)
        with pytest.raises(convert.CheckpointError, match="No space left"):
            converted(checkpoint(), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    name = converted(checkpoint(), tmp_path).rename(tmp_path / "gone").name
    assert name == "gone"
    target = next(path for path in tmp_path.glob(".speech-lm-*.lock")).name[1:-5]
    dead = tmp_path / f".{target}.dead.tmp"
    dead.mkdir()
    assert converted(checkpoint(), tmp_path).name == target
    assert not dead.exists()
