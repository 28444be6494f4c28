"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cosyserve.engine.files import flush, new_folder, write_file


def test_files_and_folders_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    flush(file)
    flush(tmp_path)
    assert flushed == [file.stat().st_ino, tmp_path.stat().st_ino]


def test_a_disk_that_fails_is_told_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles: list[int] = []

    def fail(handle: int) -> None:
        handles.append(handle)
        raise OSError("the disk failed")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk failed"):
        flush(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handles[0])


def test_what_is_not_there_cannot_be_flushed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "nothing")


def test_a_file_is_written_whole_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"one", b"", b"two")
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_file(path, b"other")
    assert path.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk failed")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="the disk failed"):
        write_file(tmp_path / "file", b"bytes")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_when_it_is_full(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with new_folder(target) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("text")
        assert not target.exists()
    assert (target / "below" / "file").read_text() == "text"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_fails_is_removed(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "target") as folder:
            (folder / "file").write_text("text")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_text("mine")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "target"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "file").read_text() == "mine"
