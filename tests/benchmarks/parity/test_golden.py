from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cosyserve.benchmarks.parity.folder import FolderError, GoldenFolder
from cosyserve.benchmarks.parity.golden import GoldenFile, Known
from cosyserve.benchmarks.parity.report import EXACT, Status, Tolerance
from support.engines.golden_folders import write

VALUES = torch.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.fixture
def file(tmp_path: Path) -> GoldenFile:
    write(tmp_path, "x", {"a": VALUES, "b": VALUES}, {"n": 1})
    return GoldenFile(GoldenFolder(tmp_path), "x")


def test_a_difference_is_measured(file: GoldenFile) -> None:
    with file.check("a", Tolerance(0.3, rms=0.2)) as check:
        check.tensors(VALUES + torch.tensor([0.0, 0.25, 0.0, 0.0]))
    (row,) = file.rows
    assert (row.status, row.largest, row.rms) == (Status.OK, 0.25, 0.125)


def test_another_shape_is_over(file: GoldenFile) -> None:
    with file.check("a", 1.0) as check:
        check.tensors(VALUES[None])
    assert file.rows[0].result == "over: [1, 4] where [4] is due"


def test_only_the_chosen_places_count(file: GoldenFile) -> None:
    with file.check("a", EXACT) as check:
        check.tensors(VALUES.clamp(max=3.0), where=VALUES < 4)
    assert file.rows[0].status is Status.OK


@pytest.mark.parametrize(
    ("off", "known"), [([0, 0, 0, 0.5], True), ([0, 0, 0, 2], False), ([0.5, 0, 0, 0.5], False)]
)
def test_a_known_reason(file: GoldenFile, off: list[float], known: bool) -> None:
    with file.check("a", 0.1) as check:
        check.tensors(VALUES + torch.tensor(off), known=Known(VALUES > 3, 1.0, "at the end"))
    assert file.rows[0].known is known
    assert file.rows[0].status is Status.OVER
    assert file.rows[0].reason == ("1 of 4 values, all at the end" if known else "")


def test_lists_differ_by_entries(file: GoldenFile) -> None:
    with file.check("tokens", EXACT) as check:
        check.lists([1, 2, 3], [1, 5])
    assert file.rows[0].largest == 2
    assert file.rows[0].result == "over: 2 entries differ, first at 1: 2, golden 5"


def test_what_is_raised_becomes_a_row(file: GoldenFile) -> None:
    with file.check("a", 0.1, "in parts"):
        raise RuntimeError("no memory")
    with file.check("c", 0.1) as check:
        check.tensors(file["a"])
    with file.check("b", 0.1) as check:
        check.tensors(file["d"])
    results = [(row.array, row.result) for row in file.rows]
    assert results == [
        ("a, in parts", "error: RuntimeError: no memory"),
        ("c", "missing"),
        ("b", "missing: needs d, which is not there"),
    ]


def test_arrays_that_nothing_took(file: GoldenFile) -> None:
    assert file["a"] is not None
    assert "b" in file
    file.finish()
    assert [(row.array, row.status) for row in file.rows] == [("b", Status.UNKNOWN)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = GoldenFolder(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"no arrays")
    for name in ("x", "gone"):
        with pytest.raises(FolderError, match=rf"{name}\.safetensors: not readable"):
            folder.arrays(name)
        with pytest.raises(FolderError, match=rf"{name}\.safetensors: meta: not readable"):
            folder.meta(name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"qwen": 1}'])
def test_a_config_that_says_no_sizes(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FolderError, match=r"config\.json: not"):
        GoldenFolder(tmp_path).config()
