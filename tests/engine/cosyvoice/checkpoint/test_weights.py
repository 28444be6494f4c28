"""Reading a part's file: every spelling that exists, and everything that is no set of weights."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint.errors import CheckpointError
from cosyserve.engine.cosyvoice.checkpoint.weights import key_problems, official, read_weights
from cosyserve.engine.cosyvoice.vocoder import DIRECTION, GAIN
from support.engines import tiny_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def saved(folder: Path, value: object, name: str = "flow.pt") -> Path:
    torch.save(value, folder / name)
    return folder / name


def same(found: dict[str, Tensor], due: dict[str, Tensor]) -> bool:
    return found.keys() == due.keys() and all(torch.equal(found[key], due[key]) for key in due)


def test_a_state_dict_is_read(tmp_path: Path) -> None:
    assert same(read_weights(saved(tmp_path, STATE), "flow"), STATE)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "flow.safetensors")
    assert same(read_weights(tmp_path / "flow.safetensors", "flow"), STATE)


def test_training_state_and_discriminator_are_ignored(tmp_path: Path) -> None:
    extra = {"epoch": 3, "step": 500, "discriminator.x.weight": torch.ones(3), **STATE}
    assert same(read_weights(saved(tmp_path, extra), "flow"), STATE)


def test_parameters_are_tensors(tmp_path: Path) -> None:
    state = {key: torch.nn.Parameter(tensor) for key, tensor in STATE.items()}
    found = read_weights(saved(tmp_path, state), "flow")
    assert same(found, STATE)
    assert not any(tensor.requires_grad for tensor in found.values())


def old_spelling(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.replace(GAIN, ".weight_g").replace(DIRECTION, ".weight_v"): tensor
        for key, tensor in state.items()
    }


def prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"generator.{key}": tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "spell",
    [dict, old_spelling, prefixed, lambda state: prefixed(old_spelling(state))],
    ids=["newest", "weight_g and weight_v", "generator.", "both"],
)
def test_hift_in_every_spelling(
    spell: Callable[[dict[str, Tensor]], dict[str, Tensor]], tmp_path: Path
) -> None:
    state = tiny_checkpoint.weights("hift")
    assert same(read_weights(saved(tmp_path, spell(state), "hift.pt"), "hift"), state)


def test_other_parts_have_one_spelling() -> None:
    assert set(official({"x.weight_g": torch.ones(1)}, "flow", "flow")) == {"x.weight_g"}


def test_a_key_in_two_spellings_is_named() -> None:
    raw = {"x.bias": torch.ones(1), "generator.x.bias": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"generator\.x\.bias: there twice"):
        official(raw, "hift", "hift.pt")


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, dtype=torch.int64),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, device="meta"),
        torch.ones(2, 2).to_sparse(),
        3,
        "text",
        None,
        [torch.ones(1)],
    ],
    ids=["ints", "complex", "meta", "sparse", "number", "text", "none", "list"],
)
def test_what_is_no_weight_is_named(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"^x: a\.weight: not a tensor of floating point"):
        official({"a.weight": value}, "flow", "x")


def test_keys_must_be_strings() -> None:
    with pytest.raises(CheckpointError, match="no string"):
        official({7: torch.ones(1)}, "flow", "x")


@pytest.mark.parametrize("value", [[1, 2], torch.ones(3), None, "text", 5])
def test_something_else_than_a_state_dict_is_named(tmp_path: Path, value: object) -> None:
    with pytest.raises(CheckpointError, match=r"^flow\.pt: \w+ where a state dict is due"):
        read_weights(saved(tmp_path, value), "flow")


class _Touch:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self._path,))


def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = saved(tmp_path, {**STATE, "x": _Touch(made)})
    with pytest.raises(CheckpointError, match=r"^flow\.pt: holds more than tensors"):
        read_weights(path, "flow")
    assert not made.exists()


def test_a_bare_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "flow.pt"
    path.write_bytes(pickle.dumps({"x": _Touch(tmp_path / "made")}))
    with pytest.raises(CheckpointError, match="not a whole archive"):
        read_weights(path, "flow")
    assert not (tmp_path / "made").exists()


def test_tensors_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(1).expand(1 << 40)})
    with pytest.raises(CheckpointError, match=r"^flow\.pt: tensors larger than the file"):
        read_weights(path, "flow")


def rewritten(path: Path, compression: int, grow: int = 0) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content + bytes(grow if name.endswith(".pkl") else 0))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, STATE)
    rewritten(path, zipfile.ZIP_DEFLATED, 1 << 26)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match="compressed"):
        read_weights(path, "flow")


def test_a_large_index_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, STATE)
    rewritten(path, zipfile.ZIP_STORED, 33 << 20)
    with pytest.raises(CheckpointError, match="index of tensors is too large"):
        read_weights(path, "flow")


def test_key_problems_name_every_kind() -> None:
    due = {"a": (2, 3), "b": (4,), "llm.model.lm_head.weight": (1,)}
    found = {"a": torch.ones(3, 2), "c": torch.ones(1)}
    assert key_problems(found, due, "x.pt") == [
        "x.pt: missing keys: b",
        "x.pt: unexpected keys: c",
        "x.pt: ill-shaped keys: a is [3, 2] where [2, 3] is due",
    ]


def test_key_problems_are_bounded() -> None:
    lines = key_problems({"x" * 10**6: torch.ones(1)}, {f"k{i}": (1,) for i in range(10**4)}, "x")
    assert "and 9988 more" in lines[0]
    assert all(len(line) < 1000 for line in lines)


def file_bytes(kind: str) -> bytes:
    if kind == "pt":
        buffer = io.BytesIO()
        torch.save({**STATE, "epoch": 1}, buffer)
        return buffer.getvalue()
    from safetensors.torch import save

    return save(STATE)


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_files_only_raise_checkpoint_errors(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(file_bytes(kind))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / f"flow.{kind}"
    path.write_bytes(content)
    # any other exception is what this test is after; a damaged number may well pass
    with suppress(CheckpointError):
        for tensor in read_weights(path, "flow").values():
            tensor.sum()


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_every_truncation_is_refused(kind: str, tmp_path: Path) -> None:
    content = file_bytes(kind)
    path = tmp_path / f"flow.{kind}"
    for length in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"^flow\.\w+: "):
            read_weights(path, "flow")
