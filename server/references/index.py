"""The keys of a bucket with clips: those of the clips, and those of the two indexes beside them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ..voices.store import StoredReference
from ..voices.record import is_id

if TYPE_CHECKING:
    from ..voices.s3_bucket import Listed

_LAST_SECOND: Final = 10**12 - 1
_LAST_SEQUENCE: Final = 10**20 - 1
_ENTRY: Final = re.compile(r"([0-9]{12})([0-9]{20})-(.{36})")


@dataclass(frozen=True, slots=True)
class Entry:
    """An index entry: `order` as Head's, and where and how old it is."""

    key: str
    order: tuple[int, int, str]
    modified: datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """Where things are, below `root` (as S3Options')."""

    root: str

    def clip(self, reference_id: str) -> str:
        return f"{self.root}clips/{reference_id}"

    def owned(self, owner: str | None) -> str:
        """What the list index has before the entries of this owner, or of anybody."""
        return f"{self.root}index/" + (f"{_digest(owner)}/" if owner is not None else "")

    def named(self, name: str, owner: str | None) -> str:
        """What the name index has before this owner's (or anybody's) clips of this name."""
        mine = f"{_digest(owner)}/" if owner is not None else ""
        return f"{self.root}names/{_digest(name)}/{mine}"

    def entries(self, reference: StoredReference, sequence: int) -> list[str]:
        """The clip's entries in the indexes.

        Raises ValueError if the times cannot be written in the digits that there are.
        """
        second, tick = _LAST_SECOND - reference.created_at, _LAST_SEQUENCE - sequence
        if not 0 <= second <= _LAST_SECOND:
            raise ValueError(f"created_at is {reference.created_at}, not UNIX seconds")
        entry = f"{second:012d}{tick:020d}-{reference.id}"
        places = [self.owned(reference.owner)]
        if reference.name:
            places.append(self.named(reference.name, reference.owner))
        return [place + entry for place in places]


def parse(page: list[Listed]) -> list[Entry]:
    """Index entries in the order of the page; other keys are none of ours."""
    entries = []
    for listed in page:
        match = _ENTRY.fullmatch(listed.key.rpartition("/")[2])
        if match and is_id(match[3]):
            order = (_LAST_SECOND - int(match[1]), _LAST_SEQUENCE - int(match[2]), match[3])
            entries.append(Entry(listed.key, order, listed.modified))
    return entries


def _digest(text: str) -> str:
    """Stands for a token's or a clip's name in a key: those may hold anything, a slash for one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
