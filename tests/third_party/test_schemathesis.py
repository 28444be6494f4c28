"""schemathesis asks the server whatever openapi.yaml allows, and what it forbids, and finds nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cosyserve.server.app import RunningServer
from support.peers.third_party import python, run
from support.tools.required import ROOT

TOKEN = "clients-secret"


@pytest.mark.timeout(360)
async def test_it_finds_nothing(speaking: RunningServer, tmp_path: Path) -> None:
    status, out, errors = await run(
        python().parent / "schemathesis",
        "--config-file",
        ROOT / "schemathesis.toml",
        "run",
        ROOT / "protocol" / "openapi.yaml",
        "--url",
        speaking.url,
        "--header",
        f"Authorization: Bearer {TOKEN}",
        "--max-examples",
        "10",
        "--seed",
        "1",
        "--generation-database",
        "none",
        seconds=300,
        folder=tmp_path,
    )
    assert status == 0, out[-6000:] + errors[-2000:]
    assert re.search(r"Selected: (\d+)/\1\n +Tested: \1\n", out), out[-2000:]
