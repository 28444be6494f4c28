"""A checkpoint's name follows its content and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.checkpoint import fingerprint

LARGE = bytes(range(256)) * 8192


def written(folder: Path, **files: bytes) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def test_place_order_and_time_do_not_matter(tmp_path: Path) -> None:
    here = written(tmp_path / "here", a=b"1", b=LARGE)
    there = written(tmp_path / "there", b=LARGE, a=b"1")
    os.utime(there[0], (1, 1))
    assert fingerprint(here) == fingerprint(there)


@pytest.mark.parametrize(
    "changed",
    [
        {"a": b"2", "b": LARGE},
        {"a": b"1", "b": LARGE + b"x"},
        {"a": b"1", "b": b"x" + LARGE[1:]},
        {"a": b"1", "b": LARGE[:-1] + b"x"},
        {"a": b"1", "b": LARGE[::-1]},
        {"a": b"1", "c": LARGE},
        {"a": b"1"},
        {"a": b"", "b": b"1" + LARGE},
    ],
)
def test_content_names_and_sizes_matter(tmp_path: Path, changed: dict[str, bytes]) -> None:
    first = fingerprint(written(tmp_path / "first", a=b"1", b=LARGE))
    assert fingerprint(written(tmp_path / "second", **changed)) != first


def test_a_file_that_is_gone_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        fingerprint([tmp_path / "gone"])
