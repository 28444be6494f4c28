"""The blocks of the pages do what the pages say, pasted in order into a terminal.

Two things are replaced, and nothing else: lines that install are left out, since the environment of the
tests has cosyserve; and ports, which may be taken, are others. Where a page asks for the published
checkpoint, a small one with random weights stands in its place.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from support.engines.tiny_checkpoint import build
from support.tools.documents import PAGES, Block, blocks
from support.tools.external_programs import tool
from support.tools.terminal import desk

CHECKPOINT = "CosyVoice2-0.5B"
PROMISED = {"README.md": {"demo.wav"}}
"""Sound that the text of a page promises, besides the files that its blocks name."""
SOUND = re.compile(r"[\w-]+\.(?:wav|mp3|flac|opus|aac)\b")


def runnable(page: str) -> list[Block]:
    return [
        block
        for block in blocks(page)
        if block.language in ("sh", "python") and block.marker not in ("not run", "clients")
    ]


def heard(file: Path) -> float:
    """Seconds of the file in which there is sound."""
    with av.open(str(file)) as container:
        rate = container.streams.audio[0].rate
        frames = [frame.to_ndarray().astype(np.float64) for frame in container.decode(audio=0)]
    samples = np.concatenate([frame.reshape(-1) for frame in frames])
    return float(np.count_nonzero(np.abs(samples) > 0.01 * np.abs(samples).max())) / rate


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_a_page_keeps_its_promises(page: str, tmp_path: Path) -> None:
    todo = runnable(page)
    written = "".join(block.text for block in todo)
    if "curl" in written:
        tool("curl")
    if CHECKPOINT in written:
        build(tmp_path / CHECKPOINT)
    with desk(tmp_path, activated=page != "README.md") as reader:
        if page != "README.md":
            reader.serve("cosyserve serve")
        for block in todo:
            reader.paste(block)
    promised = set(SOUND.findall(written)) | PROMISED.get(page, set())
    assert promised, "the page promises nothing that could be heard"
    for name in promised:
        assert heard(tmp_path / name) > 0.2, name
