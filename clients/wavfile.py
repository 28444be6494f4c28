"""WAV headers of sound that came as a stream.

A stream's header cannot know its length and says 0xFFFFFFFF; in a file the true sizes belong there.
RIFF layout: "Multimedia Programming Interface and Data Specifications 1.0", 1991.
"""

from __future__ import annotations

from typing import BinaryIO, Final

_LARGEST: Final = 0xFFFFFFFF
_SEARCHED: Final = 4096  # bytes: a header with its LIST chunks is far shorter


def write_true_sizes(file: BinaryIO) -> bool:
    """Write the sizes that the file really has into its header; False if it is no RIFF WAV.

    `file` is open for reading and writing, and can seek; its position afterwards is its end.
    """
    length = file.seek(0, 2)
    file.seek(0)
    head = file.read(_SEARCHED)
    found = _data_chunk(head)
    if found is not None:
        file.seek(4)
        file.write(_size(length - 8))
        file.seek(found + 4)
        file.write(_size(length - found - 8))
    file.seek(0, 2)
    return found is not None


def _data_chunk(head: bytes) -> int | None:
    """Where the data chunk's header begins."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(head):
        if head[at : at + 4] == b"data":
            return at
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return None


def _size(size: int) -> bytes:
    return min(size, _LARGEST).to_bytes(4, "little")
