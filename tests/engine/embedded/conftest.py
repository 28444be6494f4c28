from collections.abc import AsyncIterator

import pytest_asyncio

from cosyserve.engine.embedded.engine import EmbeddedEngine
from support.engines.embedded import running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[EmbeddedEngine]:
    """One for all tests of a module: those that break it start their own."""
    async with running() as engine:
        yield engine
