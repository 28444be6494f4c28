"""What the tests of deploy/ share: a server that speaks a word when it is told to, and a certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine
from support.peers.tls import self_signed


class Steps(asyncio.Event):
    """An engine's gate that lets one word out for each `step`."""

    def __init__(self) -> None:
        super().__init__()
        self._words = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        await self._words.acquire()
        return True

    def step(self, words: int = 1) -> None:
        for _ in range(words):
            self._words.release()


@dataclass(frozen=True)
class Stepped:
    """A server behind a proxy, and what makes its engine speak."""

    server: RunningServer
    steps: Steps


@pytest.fixture
async def stepped(tmp_path: Path) -> AsyncIterator[Stepped]:
    engine, steps = FakeEngine(), Steps()
    engine.gate = steps
    flags = {
        "port": 0,
        "host": "127.0.0.1",
        "tokens": ("alice=alice-secret",),
        "references": str(tmp_path / "references"),
    }
    async with serve(load_settings(flags), engine) as server:
        yield Stepped(server, steps)


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.chain)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1."""
    return Certificate(*self_signed(tmp_path_factory.mktemp("tls")))


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
