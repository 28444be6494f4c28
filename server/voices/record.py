"""The stored form of a reference: one file or object, so that it exists whole or not at all.

    magic (8 bytes) | length of the head (u32, big-endian) | head (JSON, ASCII) | the clip

The head comes first, so that it can be read without the clip.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import time
import zlib
from dataclasses import asdict, dataclass
from typing import Final

from cosyserve.protocol.errors import ReferenceAudioNotFound

from .consent import Consent
from .store import Reference

_MAGIC: Final = b"cosyclp1"
_PREAMBLE: Final = struct.Struct(">8sI")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST_DIGITS: Final = 32
MAX_HEAD: Final = (
    2**24
)  # bytes; far above what the longest transcript takes: a longer head is damage


class DamagedClip(Exception):
    """The stored bytes are not what was written; the message is for the operator."""


class NeedMore(Exception):
    """The head is longer than the given bytes; `size` bytes from the start contain it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the head needs {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True)
class Head:
    """What is stored before the clip.

    sequence: nanoseconds on the clock of the server that stored it; orders the clips of one second.
    offset: of the clip, in bytes. crc32: of the clip.
    """

    reference: Reference
    sequence: int
    offset: int
    crc32: int

    @property
    def order(self) -> tuple[int, int, str]:
        """The key that lists are sorted by, oldest first."""
        return self.reference.created_at, self.sequence, self.reference.id


class RisingClock:
    """The system clock's nanoseconds, strictly increasing even if the clock is coarse or is set back."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last = max(self._last + 1, time.time_ns())
        return self._last


def is_id(reference_id: str) -> bool:
    """Whether this is a lower-case UUID, the only form that may become part of a path or key."""
    return _UUID.fullmatch(reference_id) is not None


def check_id(reference_id: str) -> str:
    """The id, unchanged. Raises ReferenceAudioNotFound unless it is a lower-case UUID."""
    if not is_id(reference_id):
        raise not_found(reference_id)
    return reference_id


def check_owner(head: Head, owner: str | None) -> Head:
    """The head, unchanged. Raises ReferenceAudioNotFound if it belongs to another owner."""
    if owner is not None and head.reference.owner != owner:
        raise not_found(head.reference.id)
    return head


def digest_of(text: str) -> str:
    """Stands for an owner or a name in a path or key: those may contain any character, even a slash."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]


def is_digest(name: str) -> bool:
    """Whether this is what `digest_of` returns for some text."""
    return len(name) == _DIGEST_DIGITS and all(digit in "0123456789abcdef" for digit in name)


def not_found(reference_id: str) -> ReferenceAudioNotFound:
    """The error for ids that are malformed, unknown or owned by someone else."""
    return ReferenceAudioNotFound(f"no reference audio has the id {reference_id[:64]!r}")


def not_named(name: str) -> ReferenceAudioNotFound:
    """The same for names."""
    return ReferenceAudioNotFound(f"no reference audio has the name {name[:64]!r}")


def encode_head(reference: Reference, sequence: int, data: bytes) -> bytes:
    """The bytes to store before the clip `data`. Reads all of it: call it off the event loop.

    Raises ValueError if `reference.bytes` is not the size of `data`.
    """
    if reference.bytes != len(data):
        raise ValueError(f"reference.bytes is {reference.bytes}, but the clip has {len(data)}")
    fields = asdict(reference) | {"sequence": sequence, "crc32": zlib.crc32(data)}
    # JSON in ASCII can represent lone surrogates, which a file name may contain; UTF-8 cannot.
    head = json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return _PREAMBLE.pack(_MAGIC, len(head)) + head


def decode_head(stored: bytes, reference_id: str) -> Head:
    """Read the head from the first bytes that are stored under `reference_id`.

    Raises NeedMore if the head continues after them, DamagedClip if it is invalid.
    """
    if len(stored) < _PREAMBLE.size:
        raise DamagedClip("too short")
    magic, length = _PREAMBLE.unpack_from(stored)
    if magic != _MAGIC or length > MAX_HEAD:
        raise DamagedClip("not a clip of this server")
    offset = _PREAMBLE.size + length
    if len(stored) < offset:
        raise NeedMore(offset)
    try:
        fields = json.loads(stored[_PREAMBLE.size : offset])
    except (ValueError, RecursionError):
        raise DamagedClip("its metadata is not JSON") from None
    head = _head(fields, offset)
    if head is None or head.reference.id != reference_id:
        raise DamagedClip("its metadata is incomplete or another clip's")
    return head


def decode(stored: bytes, head: Head) -> bytes:
    """The clip, from all stored bytes. Raises DamagedClip if size or checksum differ."""
    data = stored[head.offset :]
    if len(data) != head.reference.bytes or zlib.crc32(data) != head.crc32:
        raise DamagedClip("its sound is not as it was uploaded")
    return data


def _head(fields: object, offset: int) -> Head | None:
    if not isinstance(fields, dict):
        return None
    match {"name": "", "consent": None, **fields}:  # clips of older servers have neither
        case {
            "id": str(id),
            "owner": str(owner),
            "filename": str(filename),
            "bytes": int(size),
            "created_at": int(created_at),
            "text": str(text),
            "content_id": str(content_id),
            "pcm_rate": int() | None as pcm_rate,
            "name": str(name),
            "consent": None | {"by": str(), "date": str(), "note": str()} as consent,
            "sequence": int(sequence),
            "crc32": int(crc32),
        }:
            reference = Reference(
                *(id, owner, filename, size, created_at, text, content_id, pcm_rate, name),
                consent and Consent(consent["by"], consent["date"], consent["note"]),
            )
            return Head(reference, sequence, offset, crc32)
    return None
