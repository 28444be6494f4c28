"""Where reference clips are kept: one contract, a local folder or an S3-compatible service behind it.

Names that people give their clips, so that they need not know an id.
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final, Literal, Protocol

LONGEST: Final = 64  # characters
ALLOWED: Final = (
    f"1 to {LONGEST} printable characters with a letter or digit among them, without / and \\, "
    "that are no UUID"
)


def as_name(text: str) -> str | None:
    """The form in which a name is kept and looked up; None if this can be no name.

    Blanks around it do not count, nor does how accents are composed; upper and lower case do.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(name) <= LONGEST or not name.isprintable() or "/" in name or "\\" in name:
        return None
    # What has a letter or digit is no mere punctuation: not "..", which addresses would swallow.
    return name if any(map(str.isalnum, name)) and not _is_uuid(name) else None


def _is_uuid(name: str) -> bool:
    """Whether this is written like an id, in any of the ways in which UUIDs are written."""
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of a clip besides its bytes.

    id: a lower-case UUID. owner: the name of the token that made it. bytes: size as uploaded.
    created_at: UNIX seconds. content_id: digest of sound and text. pcm_rate: Hz, if the upload was raw PCM.
    name: what its owner calls it, as `names.as_name` gives it; empty if nothing.
    """

    id: str
    owner: str
    filename: str
    bytes: int
    created_at: int
    text: str
    content_id: str
    pcm_rate: int | None = None
    name: str = ""


class ReferenceStore(Protocol):
    """Clips belong to their owner; with `owner=None` (shared stores) anybody's are seen.

    Every method raises ReferenceAudioNotFound for an id that is malformed, unknown or another owner's
    (which of these it was is not told).
    """

    async def start(self) -> None:
        """Check that the place can be used; raises OSError or the like with a message for the operator."""

    async def stop(self) -> None: ...

    async def put(self, reference: Reference, data: bytes) -> None:
        """Store whole or not at all: nobody ever sees half a clip, not even after a crash."""

    async def get(self, owner: str | None, reference_id: str) -> Reference: ...

    async def named(self, owner: str | None, name: str) -> Reference:
        """The newest clip of just this name. Raises ReferenceAudioNotFound if there is none."""

    async def read(self, owner: str | None, reference_id: str) -> bytes:
        """The clip as it was uploaded."""

    async def list(self, owner: str | None, limit: int, order: Order) -> list[Reference]:
        """At most `limit`, by creation; `desc` is newest first."""

    async def delete(self, owner: str | None, reference_id: str) -> None: ...
