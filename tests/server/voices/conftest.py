"""Both stores, each as an opener of any number of stores on one fresh place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cosyserve.server.voices import LocalStore, ReferenceStore, S3Store
from support.peers.s3 import new_bucket, options, s3_service

Opener = Callable[[], Awaitable[ReferenceStore]]


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_service() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str) -> str:
    return new_bucket(s3)


@pytest.fixture(params=["local", "s3"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens and starts a store; all that are opened in one test share a place."""
    if request.param == "s3":
        endpoint = request.getfixturevalue("s3")
        where = options(endpoint, new_bucket(endpoint), page_size=3)
    async with AsyncExitStack() as stack:

        async def open_one() -> ReferenceStore:
            local = request.param == "local"
            store: ReferenceStore = LocalStore(tmp_path / "clips") if local else S3Store(where)
            await store.start()
            stack.push_async_callback(store.stop)
            return store

        yield open_one


@pytest.fixture
async def store(opener: Opener) -> ReferenceStore:
    return await opener()
