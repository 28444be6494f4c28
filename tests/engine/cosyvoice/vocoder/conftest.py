from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cosyserve.engine.cosyvoice.vocoder import Hift
from support.engines.vocoder import golden_hift


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """The tiny model gains nothing by threads, and on a busy machine they wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def hift() -> Hift:
    """With the golden weights; it holds nothing of a session, so that tests may share it."""
    return golden_hift()
