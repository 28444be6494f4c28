"""The examples for other people's SDKs in docs/dialects.md, with these SDKs."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from support.peers.third_party import python, run
from support.tools.documents import Block, blocks
from support.tools.terminal import PORTS

from .conftest import TOKEN, Speaking

EXAMPLES = [block for block in blocks("docs/dialects.md") if block.marker == "clients"]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
async def test_an_example_runs_and_is_heard(
    example: Block, speaking_with: Speaking, tmp_path: Path
) -> None:
    folder = tmp_path / "example"
    folder.mkdir()
    async with speaking_with() as server:
        assert TOKEN in example.text
        text = PORTS.sub(server.url.rpartition(":")[2], example.text)
        status, _, errors = await run(python(), "-c", text, folder=folder)
    assert status == 0, errors
    for file in folder.iterdir():
        with av.open(str(file)) as sound:
            assert sum(frame.samples for frame in sound.decode(audio=0)) > 0, file.name
    assert len(list(folder.iterdir())) == text.count("open(") + text.count("stream_to_file(")
