"""A whole directory, and state dictionaries, as one Checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint import (
    CheckpointError,
    convert,
    from_state_dicts,
    open_checkpoint,
)
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS
from cosyserve.engine.cosyvoice.config import CosyVoice2Config, EncoderConfig
from cosyserve.engine.cosyvoice.lm.qwen2 import TIED_HEAD
from support.engines import goldens, tiny_checkpoint


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    return caught.value.problems


def edit_weights(folder: Path, part: str, change: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(folder / f"{part}.pt", weights_only=True)
    change(state)
    torch.save(state, folder / f"{part}.pt")


def edit_text(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_sizes_and_weights_are_found(whole: Path) -> None:
    checkpoint = open_checkpoint(whole)
    assert checkpoint.config == tiny_checkpoint.TINY
    for part in PARTS:
        due = tiny_checkpoint.weights(part)
        assert checkpoint.weights[part].keys() == due.keys()
        assert all(torch.equal(checkpoint.weights[part][key], due[key]) for key in due)


def test_other_sizes_are_found(tmp_path: Path) -> None:
    """Numbers that only weights show, and numbers that only the files state."""
    config = replace(
        tiny_checkpoint.TINY,
        lm=replace(tiny_checkpoint.TINY.lm, num_hidden_layers=3, mix_text=4, rope_theta=5e5),
        flow=replace(
            tiny_checkpoint.TINY.flow,
            cfg_rate=0.5,
            look_ahead=4,
            encoder=EncoderConfig(48, 4, 40, num_blocks=2, num_up_blocks=3, chunk_tokens=20),
            estimator=replace(
                tiny_checkpoint.TINY.flow.estimator, num_mid_blocks=2, n_blocks=2, chunk_frames=40
            ),
        ),
        hift=replace(
            tiny_checkpoint.TINY.hift, harmonics=5, resblock_kernels=(3, 5, 9), noise_sigma=0.01
        ),
        sampling=replace(tiny_checkpoint.TINY.sampling, top_k=7),
    )
    assert open_checkpoint(tiny_checkpoint.build(tmp_path, 3, config)).config == config


def test_what_the_yaml_leaves_out_comes_from_the_weights(folder: Path) -> None:
    edit_text(folder / "cosyvoice2.yaml", "        num_blocks: 1\n", "")
    edit_text(folder / "cosyvoice2.yaml", "    mix_ratio: [5, 15]\n", "")
    edit_text(folder / "cosyvoice2.yaml", "    speech_token_size: 216\n", "")
    assert open_checkpoint(folder).config == tiny_checkpoint.TINY


@pytest.mark.parametrize(
    ("file", "before", "after", "problem"),
    [
        (
            "cosyvoice2.yaml",
            "num_blocks: 1\n        dropout",
            "num_blocks: 2\n        dropout",
            "cosyvoice2.yaml flow.encoder.num_blocks is 2, but flow.pt's weights show 1",
        ),
        (
            "cosyvoice2.yaml",
            "speech_token_size: 216",
            "speech_token_size: 6561",
            "cosyvoice2.yaml llm.speech_token_size is 6561, but llm.pt's weights show 216",
        ),
        (
            "cosyvoice2.yaml",
            "llm_output_size: 64",
            "llm_output_size: 65",
            "cosyvoice2.yaml llm.llm_input_size is 64, but cosyvoice2.yaml llm.llm_output_size is 65",
        ),
        (
            "CosyVoice-BlankEN/config.json",
            '"num_hidden_layers": 2',
            '"num_hidden_layers": 4',
            "CosyVoice-BlankEN/config.json num_hidden_layers is 4, but llm.pt's weights show 2",
        ),
    ],
)
def test_files_that_disagree_are_named(
    folder: Path, file: str, before: str, after: str, problem: str
) -> None:
    edit_text(folder / file, before, after)
    assert problem in problems(folder)


def test_heads_that_the_weights_do_not_have_are_named(folder: Path) -> None:
    edit_text(
        folder / "CosyVoice-BlankEN/config.json",
        '"num_key_value_heads": 2',
        '"num_key_value_heads": 4',
    )
    (line,) = problems(folder)
    assert line.startswith("llm.pt: ill-shaped keys: ")
    assert "k_proj.weight is [32, 64] where [64, 64] is due" in line


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("num_attention_heads", 3, "lm.hidden_size: not a multiple"),
        ("num_key_value_heads", 3, "lm.num_attention_heads: not a multiple"),
        ("num_attention_heads", 10**15, "lm.num_attention_heads: 1e+15 is not in the possible"),
        ("num_attention_heads", 0, "lm.num_attention_heads: 0 is not in the possible"),
        ("rms_norm_eps", -1.0, "lm.rms_norm_eps: -1 is not in the possible"),
    ],
)
def test_absurd_sizes_end_before_they_cost(
    folder: Path, name: str, value: float, problem: str
) -> None:
    path = folder / "CosyVoice-BlankEN/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert any(line.startswith(problem) for line in problems(folder))


def test_weights_that_pose_as_a_huge_model_end_before_they_cost(folder: Path) -> None:
    key = "llm.model.model.layers.999999.mlp.gate_proj.weight"
    edit_weights(folder, "llm", lambda state: state.update({key: torch.ones(1, 1)}))
    assert any("num_hidden_layers" in line for line in problems(folder))


@pytest.mark.parametrize("part", PARTS)
def test_missing_extra_and_ill_shaped_keys_are_named(folder: Path, part: str) -> None:
    def damage(state: dict[str, Any]) -> None:
        names = [key for key in state if key.endswith(".bias")]
        state["extra.weight"] = state.pop(names[0])
        state[names[1]] = torch.ones(1, 2, 3)
        damaged.extend(names)

    damaged: list[str] = []
    edit_weights(folder, part, damage)
    file = f"{part}.pt"
    lines = problems(folder)
    assert f"{file}: missing keys: {damaged[0]}" in lines
    assert f"{file}: unexpected keys: extra.weight" in lines
    assert any(
        line.startswith(f"{file}: ill-shaped keys: {damaged[1]} is [1, 2, 3] where ")
        for line in lines
    )


def test_the_tied_head_may_be_absent(folder: Path) -> None:
    edit_weights(folder, "llm", lambda state: state.pop(TIED_HEAD))
    assert TIED_HEAD not in open_checkpoint(folder).weights["llm"]


def test_half_precision_is_accepted(folder: Path) -> None:
    def halve(state: dict[str, Any]) -> None:
        state.update({k: v.half() for k, v in state.items() if isinstance(v, Tensor)})

    edit_weights(folder, "flow", halve)
    weights = open_checkpoint(folder).weights["flow"]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_both_fingerprints_follow_their_files(folder: Path) -> None:
    before = open_checkpoint(folder)
    edit_weights(folder, "flow", lambda state: state["encoder_proj.bias"].add_(1))
    between = open_checkpoint(folder)
    assert between.fingerprint != before.fingerprint
    assert between.voice_fingerprint == before.voice_fingerprint
    with (folder / "CosyVoice-BlankEN/merges.txt").open("a") as file:
        file.write("a b\n")
    assert open_checkpoint(folder).voice_fingerprint != before.voice_fingerprint


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_makes_one_checkpoint(tmp_path: Path, whole: Path, seed: int) -> None:
    made = open_checkpoint(tiny_checkpoint.build(tmp_path, seed))
    assert (made.fingerprint == open_checkpoint(whole).fingerprint) == (seed == 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda raw: raw.update(format=2), "format 2, where 1 is known"),
        (lambda raw: raw.pop("format"), "format None"),
        (lambda raw: raw.update(config=[]), "config: missing"),
        (lambda raw: raw["config"].pop("flow.cfg_rate"), "config: flow.cfg_rate: missing"),
        (lambda raw: raw["config"].update(x=1), "x: no such number"),
        (lambda raw: raw["config"].update({"lm.vocab_size": "9"}), "lm.vocab_size: '9'"),
    ],
)
def test_a_wrong_manifest_is_named(
    whole: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    convert(whole, tmp_path / "converted")
    path = tmp_path / "converted" / "cosyserve-model.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    (line,) = problems(tmp_path / "converted")
    assert line.startswith("cosyserve-model.json: ")
    assert problem in line


def test_golden_weights_make_a_checkpoint() -> None:
    config = model_config(goldens.config())
    checkpoint = from_state_dicts(config, **{part: goldens.weights(part) for part in PARTS})
    assert checkpoint.config == config
    assert set(checkpoint.weights) == set(PARTS)
    assert checkpoint.files is None


def test_state_dicts_are_held_against_the_sizes() -> None:
    with pytest.raises(CheckpointError, match="llm: ill-shaped keys"):
        from_state_dicts(CosyVoice2Config(), llm=goldens.weights("llm"))
