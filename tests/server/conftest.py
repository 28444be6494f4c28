"""A server on a free loopback port with an engine that the test holds in its hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine
from support.engines.faulty_engine import FaultyEngine
from support.peers.peers import Peer

TOKENS = ("alice=alice-secret", "bob=bob-secret")

Served = Callable[..., AbstractAsyncContextManager[tuple[RunningServer, FakeEngine]]]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """`async with served(setting=value, ...) as (server, engine)`."""

    @asynccontextmanager
    async def start(
        engine: FakeEngine | None = None, **settings: Any
    ) -> AsyncIterator[tuple[RunningServer, FakeEngine]]:
        engine = engine or FakeEngine()
        flags = {
            "port": 0,
            "host": "127.0.0.1",
            "tokens": TOKENS,
            "dashscope_realtime_pause": 3600,  # a busy machine is no pause of the client's
            "references": str(tmp_path / "references"),
            **settings,
        }
        async with serve(load_settings(flags), engine) as server:
            yield server, engine

    return start


@pytest.fixture
async def peer(served: Served) -> AsyncIterator[Peer]:
    """A client's end, with the server and engine behind it."""
    async with served() as (server, engine), Peer.of(server, engine) as peer:
        yield peer


@pytest.fixture
async def faulty(served: Served) -> AsyncIterator[Peer]:
    """A peer whose engine fails as it is told."""
    async with served(FaultyEngine()) as (server, engine), Peer.of(server, engine) as peer:
        yield peer
