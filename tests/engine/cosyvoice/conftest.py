"""What the tests of the whole engine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.engines import tiny_checkpoint3
from support.engines.tiny_checkpoint import build


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that speaks noise; do not change it."""
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_model3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of CosyVoice 3."""
    return tiny_checkpoint3.build(tmp_path_factory.mktemp("tiny3"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other spin, which costs the more the busier the machine is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
