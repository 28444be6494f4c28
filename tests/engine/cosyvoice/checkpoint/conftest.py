"""A checkpoint that the tests of this package read, and one that they may damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.engines import tiny_checkpoint


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only by agreement."""
    return tiny_checkpoint.build(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "tiny"))
