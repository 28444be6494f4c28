"""Checkpoints of CosyVoice 3: what tells them from those of CosyVoice 2, and what is wrong with a mixture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint import (
    CheckpointError,
    check,
    convert,
    family_at,
    load_llm,
    open_checkpoint,
)
from cosyserve.engine.cosyvoice.checkpoint.document import Document
from cosyserve.engine.cosyvoice.checkpoint.limits import size_problems
from cosyserve.engine.cosyvoice.checkpoint.sizes import claims_of_yaml
from cosyserve.engine.cosyvoice.checkpoint.source import MANIFEST, find_files, wanted
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, expected
from cosyserve.engine.cosyvoice.config import CosyVoice2Config, CosyVoice3Config
from cosyserve.engine.cosyvoice.families import COSYVOICE2, COSYVOICE3
from support.engines import goldens3, tiny_checkpoint, tiny_checkpoint3
from support.engines.tiny_checkpoint3 import TINY


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only by agreement."""
    return tiny_checkpoint3.build(tmp_path_factory.mktemp("checkpoint") / "third")


@pytest.fixture
def copy(third: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(third, tmp_path / "third"))


def problems(folder: Path, variant: str = "base") -> tuple[str, ...]:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder, variant=variant)
    return caught.value.problems


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("full", [False, True])
def test_keys_and_shapes_are_the_references(part: str, full: bool) -> None:
    config = CosyVoice3Config() if full else model_config(goldens3.GOLDENS.raw_config())
    due = {key: tuple(shape) for key, shape in goldens3.key_shapes(part, full=full).items()}
    assert expected(config, part) == due


def test_it_opens(third: Path) -> None:
    checkpoint = open_checkpoint(third)
    assert checkpoint.config == TINY
    assert checkpoint.files is not None
    assert checkpoint.files.family is COSYVOICE3
    assert check(third).ok
    assert "family       CosyVoice 3" in check(third).table()


def test_all_sizes_but_those_of_qwen_are_stated() -> None:
    document = Document.parse(tiny_checkpoint3.yaml_text().encode(), "cosyvoice3.yaml")
    claims = claims_of_yaml(COSYVOICE3, document)
    flat = TINY.flatten()
    assert all(claim.value == flat[claim.name] for claim in claims)
    stated = {claim.name for claim in claims}
    assert {name for name in set(flat) - stated if not name.startswith("lm.")} == {"flow.steps"}


def test_defaults_are_the_published_models() -> None:
    text = tiny_checkpoint3.yaml_text(CosyVoice3Config())
    claims = claims_of_yaml(COSYVOICE3, Document.parse(text.encode(), "cosyvoice3.yaml"))
    default = CosyVoice3Config().flatten()
    assert all(claim.value == default[claim.name] for claim in claims)
    assert size_problems(CosyVoice3Config()) == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("fmax: null", "fmax: 8000", "feat_extractor.fmax: 8000, where only null is supported"),
        ("CosyVoice3LM", "Qwen2LM", "Qwen2LM, that of CosyVoice 2, where CosyVoice 3 has"),
        ("depth: 2", "depth: 3", "flow.decoder.estimator.depth is 3, but flow.pt's weights show 2"),
        (
            "look_right: 4",
            "look_right: 5",
            "conv_pre_look_right is 5, but hift.pt's weights show 4",
        ),
        ("channels: 32", "channels: 31", "pre_lookahead_layer.channels is 31, but flow.pt's"),
        ("dim_head: 16", "dim_head: 15", "flow.dit.head_dim: odd"),
        ("heads: 2", "heads: 4", "flow.pt: ill-shaped keys: "),
    ],
)
def test_a_wrong_entry_is_named(copy: Path, before: str, after: str, named: str) -> None:
    text = tiny_checkpoint3.yaml_text()
    assert before in text
    (copy / "cosyvoice3.yaml").write_text(text.replace(before, after, 1))
    assert any(named in problem for problem in problems(copy))


@pytest.mark.parametrize("part", PARTS)
def test_weights_of_another_family_are_named(copy: Path, part: str) -> None:
    torch.save(tiny_checkpoint.weights(part), copy / f"{part}.pt")
    line = f"{part}.pt: weights of CosyVoice 2, where the model is of CosyVoice 3"
    assert problems(copy) == (line,)
    assert line in check(copy).problems


@pytest.mark.parametrize("part", PARTS)
def test_and_the_other_way_round(tmp_path: Path, part: str) -> None:
    folder = tiny_checkpoint.build(tmp_path / "second")
    torch.save(tiny_checkpoint3.weights(part), folder / f"{part}.pt")
    assert problems(folder) == (
        f"{part}.pt: weights of CosyVoice 3, where the model is of CosyVoice 2",
    )


def test_a_speech_tokenizer_of_another_family_is_named(copy: Path) -> None:
    (copy / "speech_tokenizer_v3.onnx").rename(copy / "speech_tokenizer_v2.onnx")
    assert problems(copy) == (
        "speech_tokenizer_v3.onnx: missing; speech_tokenizer_v2.onnx is of CosyVoice 2, where the "
        "model is of CosyVoice 3",
    )


def test_two_families_in_one_folder_are_named(copy: Path) -> None:
    (copy / "cosyvoice2.yaml").write_text(tiny_checkpoint.yaml_text())
    assert problems(copy)[0].startswith("cosyvoice2.yaml and cosyvoice3.yaml: both there")


def test_the_variant_has_other_weights(third: Path) -> None:
    base, other = (load_llm(open_checkpoint(third, variant=name)) for name in ("base", "rl"))
    assert not torch.equal(base.llm_decoder.weight, other.llm_decoder.weight)


def test_a_variant_that_is_not_there_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "llm.rl.pt").unlink()
    assert problems(copy, "rl") == ("llm.rl.pt: missing",)
    second = tiny_checkpoint.build(tmp_path / "second")
    assert problems(second, "rl") == ("variant rl: CosyVoice 2 has base only",)


@pytest.mark.parametrize("variant", ["base", "rl"])
def test_converted_it_stays_what_it_was(third: Path, tmp_path: Path, variant: str) -> None:
    made = convert(third, tmp_path / "converted", variant)
    source = open_checkpoint(third, variant=variant)
    assert made.config == source.config
    assert made.files is not None
    assert made.files.family is COSYVOICE3
    for part in PARTS:
        for key, tensor in source.weights[part].items():
            if key in made.weights[part]:
                assert torch.equal(tensor, made.weights[part][key]), key
    other = {"base": "rl", "rl": "base"}[variant]
    assert problems(tmp_path / "converted", other) == (
        f"{MANIFEST}: variant {variant}, where {other} is asked for",
    )


def test_a_manifest_without_a_family_is_of_cosyvoice_2(tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    convert(tiny_checkpoint.build(tmp_path / "second"), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["family"], manifest["variant"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert find_files(folder).family is COSYVOICE2
    manifest["family"] = "cosyvoice9"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert problems(folder) == (
        f"{MANIFEST}: family: cosyvoice9, where cosyvoice2, cosyvoice3 are known",
    )


def test_a_look_tells_the_family(third: Path, tmp_path: Path) -> None:
    assert family_at(third) is COSYVOICE3
    assert family_at(tmp_path) is None
    assert family_at("FunAudioLLM/Fun-CosyVoice3-0.5B-2512@v1") is None
    convert(third, tmp_path / "converted")
    assert family_at(tmp_path / "converted") is COSYVOICE3


def test_of_a_hub_only_the_variant_that_is_used_is_asked_for() -> None:
    assert {"cosyvoice3.yaml", "speech_tokenizer_v3.onnx", "llm.pt"} <= set(wanted())
    assert "llm.rl.pt" not in wanted()
    assert "llm.rl.pt" in wanted("rl")
    assert "llm.pt" not in wanted("rl")


@pytest.mark.parametrize(
    "name", sorted(TINY.flatten().keys() - CosyVoice2Config().flatten().keys())
)
@pytest.mark.parametrize("absurd", [0, 1 << 40])
def test_an_impossible_size_is_named(name: str, absurd: int) -> None:
    found = size_problems(CosyVoice3Config.from_flat({name: absurd}))
    assert found
    assert all(line.startswith(f"{name}: ") for line in found)
