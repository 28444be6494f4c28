"""A server with the embedded voice, for clients that run in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings

TOKEN = "clients-secret"


@pytest.fixture
async def speaking(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """At most two tasks at once; its token is TOKEN."""
    settings = load_settings(
        {
            "port": 0,
            "host": "127.0.0.1",
            "tokens": (f"clients={TOKEN}",),
            "references": str(tmp_path / "references"),
            "embedded_workers": 1,
            "max_tasks_per_token": 2,
        }
    )
    async with serve(settings) as server:
        yield server
