"""The contract of a store for references, which a local folder and an S3-compatible service fulfil."""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from .documents import Documents

from .consent import Consent

LONGEST: Final = 64  # characters
ALLOWED: Final = (
    f"1 to {LONGEST} printable characters, at least one of them a letter or digit, without / and \\, "
    "and no UUID"
)


def as_name(text: str) -> str | None:
    """The form in which a name is stored and looked up; None if the text is not allowed as a name.

    Surrounding blanks and the composition of accents do not count; upper and lower case do.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(name) <= LONGEST or not name.isprintable() or "/" in name or "\\" in name:
        return None
    # A letter or digit keeps out mere punctuation such as "..", which URLs would resolve.
    return name if any(map(str.isalnum, name)) and not _is_uuid(name) else None


def _is_uuid(name: str) -> bool:
    """Whether the name is a UUID in any notation: it could be taken for an id."""
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored clip: all that is known of it besides its bytes.

    id: a lower-case UUID. owner: the name of the token that uploaded it. bytes: size of the clip.
    created_at: UNIX seconds. text: the transcript. content_id: digest of sound and transcript.
    pcm_rate: Hz, if the clip is raw PCM. name: what its owner calls it, as `as_name` returns it, or "".
    consent: the speaker's, if its owner has put it on record.
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
    consent: Consent | None = None


class ReferenceStore(Protocol):
    """References belong to their owner; `owner=None` stands for all owners, for servers that share them.

    Every method raises ReferenceAudioNotFound, with the same message, for ids that are malformed, unknown
    or owned by someone else.
    """

    async def start(self) -> None:
        """Check that the place can be used. Raises OSError with a message for the operator."""

    async def stop(self) -> None: ...

    async def put(self, reference: Reference, data: bytes) -> None:
        """Store the clip whole or not at all: nobody ever sees half of it, not even after a crash."""

    async def get(self, owner: str | None, reference_id: str) -> Reference: ...

    async def named(self, owner: str | None, name: str) -> Reference:
        """The newest reference of exactly this name. Raises ReferenceAudioNotFound if there is none."""

    async def read(self, owner: str | None, reference_id: str) -> bytes:
        """The clip as it was uploaded."""

    async def list(self, owner: str | None, limit: int, order: Order) -> list[Reference]:
        """At most `limit` references, sorted by creation; "desc" is newest first."""

    async def count(self, owner: str) -> int:
        """How many references the owner has."""

    async def delete(self, owner: str | None, reference_id: str) -> None: ...

    def documents(self, kind: str) -> Documents:
        """Documents beside the references. kind: a name in small letters, of them alone."""
