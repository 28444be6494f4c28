"""What a file says of its own sound: that a machine made it, and which."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cosyserve.version import VERSION

SYNTHETIC: Final = "Synthetic speech: a machine made this sound from text."
_CHUNK: Final = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True)
class Provenance:
    """software: what made the sound. Both are ASCII."""

    software: str
    comment: str = SYNTHETIC

    @classmethod
    def of(cls, engine: str) -> Provenance:
        """For the sound of the engine of this name."""
        return cls(f"cosyserve {VERSION} ({engine})")

    @property
    def tags(self) -> Mapping[str, str]:
        """By FFmpeg's names, which it has for ID3v2's frames and Vorbis' fields alike."""
        return {"comment": self.comment, "encoded_by": self.software}

    def info_chunk(self) -> bytes:
        """A LIST chunk of type INFO, as RIFF files have it."""
        fields = b"INFO" + _info(b"ICMT", self.comment) + _info(b"ISFT", self.software)
        return _CHUNK.pack(b"LIST", len(fields)) + fields


def _info(name: bytes, text: str) -> bytes:
    """A field: a text that ends with a zero, on an even number of bytes, of which the last may not count."""
    data = text.encode("ascii") + b"\0"
    return _CHUNK.pack(name, len(data)) + data + b"\0" * (len(data) % 2)
