"""Which files make a checkpoint, and what may stand in their place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.checkpoint.errors import CheckpointError
from cosyserve.engine.cosyvoice.checkpoint.source import find_files, read_json

NEEDED = (
    "cosyvoice2.yaml",
    "llm.pt",
    "flow.pt",
    "hift.pt",
    "campplus.onnx",
    "speech_tokenizer_v2.onnx",
    "CosyVoice-BlankEN/config.json",
    "CosyVoice-BlankEN/vocab.json",
    "CosyVoice-BlankEN/merges.txt",
)

SHOWN = {"cosyvoice2.yaml": "cosyvoice2.yaml or cosyvoice3.yaml"}


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(CheckpointError) as caught:
        find_files(folder)
    return caught.value.problems


def test_everything_is_found(whole: Path) -> None:
    files = find_files(whole)
    assert {str(path.relative_to(whole)) for path in files.all()} == set(NEEDED)
    assert not files.converted
    assert files.spk2info is None


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert problems(folder) == (f"{SHOWN.get(name, name)}: missing",)


def test_all_that_is_missing_is_named(tmp_path: Path) -> None:
    names = (SHOWN.get(name, name) for name in sorted(NEEDED, key=order))
    assert problems(tmp_path) == tuple(f"{name}: missing" for name in names)


def order(name: str) -> int:
    looked_for = (NEEDED[0], NEEDED[6], *NEEDED[1:6], *NEEDED[7:])
    return looked_for.index(name)


@pytest.mark.parametrize("name", NEEDED)
def test_an_empty_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    assert problems(folder) == (f"{name}: empty",)


@pytest.mark.parametrize("name", NEEDED)
def test_a_folder_in_place_of_a_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert problems(folder) == (f"{name}: not a regular file",)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "flow.pt").unlink()
    os.mkfifo(folder / "flow.pt")
    assert problems(folder) == ("flow.pt: not a regular file",)


def test_links_to_files_are_files(folder: Path, tmp_path: Path) -> None:
    """A hub's cache is made of them."""
    shutil.move(folder / "llm.pt", tmp_path / "blob")
    (folder / "llm.pt").symlink_to(tmp_path / "blob")
    assert find_files(folder).weights["llm"] == folder / "llm.pt"


@pytest.mark.parametrize(
    ("target", "problem"),
    [("nowhere", "missing"), ("llm.pt", "cannot be read: "), ("/dev/zero", "not a regular file")],
)
def test_links_that_lead_nowhere_good_are_named(folder: Path, target: str, problem: str) -> None:
    (folder / "llm.pt").unlink()
    (folder / "llm.pt").symlink_to(target)
    assert problems(folder)[0].startswith(f"llm.pt: {problem}")


def test_a_broken_link_to_an_optional_file_is_named(folder: Path) -> None:
    (folder / "spk2info.pt").symlink_to("nowhere")
    assert problems(folder) == ("spk2info.pt: missing",)


def test_safetensors_are_preferred(folder: Path) -> None:
    shutil.copy(folder / "llm.pt", folder / "llm.safetensors")
    assert find_files(folder).weights["llm"].name == "llm.safetensors"


def test_one_tokenizer_file_is_enough(folder: Path) -> None:
    (folder / "CosyVoice-BlankEN/merges.txt").unlink()
    (folder / "CosyVoice-BlankEN/tokenizer.json").write_text("{}")
    names = [path.name for path in find_files(folder).tokenizer]
    assert names == ["tokenizer.json", "vocab.json"]


@pytest.mark.parametrize("name", ["absent", "cosyvoice2.yaml", "x" * 5000])
def test_a_place_that_is_no_folder_is_named(whole: Path, name: str) -> None:
    assert problems(whole / name)[0].endswith("not a directory")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 200000, b'{"a":' * 100000, b" " * (1 << 21)],
)
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^x\.json: "):
        read_json(path, "x.json")


def test_json_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^x\.json: "):
        read_json(tmp_path / "x.json", "x.json")
