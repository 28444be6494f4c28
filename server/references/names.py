"""Names that people give their clips, so that they need not know an id."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Final

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
