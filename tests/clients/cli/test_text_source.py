import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.clients import InvalidRequest
from cosyserve.clients.cli.say import PIECE, from_descriptor, from_file, from_string


async def pieces(source: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in source]


@given(st.integers(0, 3 * PIECE))
async def test_a_text_is_cut_and_nothing_is_lost(length: int) -> None:
    text = ("0123456789" * (length // 10 + 1))[:length]
    cut = await pieces(from_string(text))
    assert "".join(cut) == text
    assert all(0 < len(piece) <= PIECE for piece in cut)


async def test_a_file_must_be_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ok \xff")
    with pytest.raises(InvalidRequest, match="UTF-8: byte 3"):
        await pieces(from_file(path))


async def test_characters_cut_by_a_pipe_are_put_together() -> None:
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "wb", buffering=0) as pipe:
        source = from_descriptor(read)
        data = "字a".encode()
        pipe.write(data[:2] + data[2:])
        assert await anext(source) == "字a"
        pipe.write(data[:1])
        pipe.write(data[1:])
        pipe.write(b"\xe5")
        pipe.close()
        assert "".join(await pieces(source)) == "字a\ufffd"


async def test_a_descriptor_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x" * 5000)
    with path.open() as file:
        assert "".join(await pieces(from_descriptor(file.fileno()))) == "x" * 5000
