from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from support.engines import vllm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker waits for it in the end."""
    items.sort(key=lambda item: item.path.name != "test_killed.py")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def lm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmSpeechLM]:
    """One engine on the golden weights for all tests, which leave nothing behind in it."""
    folder = tmp_path_factory.mktemp("models")
    async with AsyncExitStack() as stack:
        with vllm.one_process():
            engine = vllm.running(vllm.golden_checkpoint(), folder)
            running = await stack.enter_async_context(engine)
        yield running
