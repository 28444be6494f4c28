"""What the tests of the parity command share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines.tiny_checkpoint import build


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that speaks noise; do not change it."""
    return build(tmp_path_factory.mktemp("tiny"))
