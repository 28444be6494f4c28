import os
import tempfile
from pathlib import Path

import pytest

from cosyserve.engine.embedded.espeak.installation import (
    DEFINITIONS,
    PITCH_STEPS,
    find_espeak,
    lock_data,
    make_data,
    pitched,
    remove_data,
    sweep_data,
)


def test_the_data_folder_has_all_data_and_our_definitions() -> None:
    installed = Path(find_espeak().data)
    data = Path(make_data(str(installed)))
    try:
        assert {entry.name for entry in data.iterdir()} == {e.name for e in installed.iterdir()}
        assert (data / "phondata").read_bytes() == (installed / "phondata").read_bytes()
        for name in DEFINITIONS:
            for step in PITCH_STEPS:
                text = (data / "voices" / "!v" / pitched(name, step)).read_text()
                assert "\nflutter 0\nroughness 0\n" in text
    finally:
        remove_data(str(data))
    assert not data.parent.exists()
    assert (installed / "phondata").exists()
    remove_data(str(data))


def test_folders_are_swept_once_they_are_old_and_their_owner_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young, used = (Path(make_data(find_espeak().data)) for _ in range(3))
    other = tmp_path / "cosyserve-operators"
    other.mkdir()
    lock = lock_data(str(used))
    for folder in (left.parent, used.parent, other):
        os.utime(folder, (0, 0))
    sweep_data()
    assert {path.name for path in tmp_path.iterdir()} == {
        *(folder.parent.name for folder in (young, used)),
        other.name,
    }
    os.close(lock)
    sweep_data()
    assert not used.exists()
    assert young.exists()
