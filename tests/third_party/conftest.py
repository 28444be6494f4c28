"""A server with the embedded voice, for clients that run in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings

TOKEN = "clients-secret"


Speaking = Callable[..., AbstractAsyncContextManager[RunningServer]]


@pytest.fixture
def speaking_with(tmp_path: Path) -> Speaking:
    """Runs a server with these settings besides; its token is TOKEN."""

    def running(**settings: object) -> AbstractAsyncContextManager[RunningServer]:
        own = {
            "port": 0,
            "host": "127.0.0.1",
            "tokens": (f"clients={TOKEN}",),
            "references": str(tmp_path / "references"),
            "embedded_workers": 1,
        }
        return serve(load_settings(own | settings))

    return running


@pytest.fixture
async def speaking(speaking_with: Speaking) -> AsyncIterator[RunningServer]:
    """At most two tasks at once."""
    async with speaking_with(max_tasks_per_token=2) as server:
        yield server
