"""References in an S3-compatible service, shared by any number of servers.

A clip is one object, `clips/<id>`: the reference exists, whole, from the object's arrival to its removal.
Beside it there are empty objects whose keys are indexes: `index/<owner>/<inverted time>-<id>`, which
lists the newest first, and for a clip that has a name `names/<name>/<owner>/<inverted time>-<id>`.
Index entries are made before their clip and removed after it, so that lists and names never miss a clip;
an entry without a clip shows nothing and is removed when it is old. Documents are objects
`<kind>/<owner>/<id>`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import EngineUnavailable, InternalError

from .documents import S3Documents
from .record import (
    DamagedClip,
    Head,
    NeedMore,
    RisingClock,
    check_id,
    check_owner,
    decode,
    decode_head,
    digest_of,
    encode_head,
    is_id,
    not_found,
    not_named,
)
from .s3_options import S3Options
from .store import Order, Reference

if TYPE_CHECKING:
    from .s3_bucket import Bucket, Listed

log = structlog.get_logger(__name__)

_FIRST_READ: Final = 16384  # bytes; holds the head of nearly every clip
_AT_ONCE: Final = 4  # requests for heads: each holds the event loop up for about a millisecond
_THREADS: Final = 2  # of each kind
_LAST_SECOND: Final = 10**12 - 1
_LAST_SEQUENCE: Final = 10**20 - 1
_ENTRY: Final = re.compile(r"([0-9]{12})([0-9]{20})-(.{36})")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An entry of an index: its key, the `order` of its clip's Head, and when it was written."""

    key: str
    order: tuple[int, int, str]
    modified: datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of clips and indexes. root: as in S3Options."""

    root: str

    def clip(self, reference_id: str) -> str:
        return f"{self.root}clips/{reference_id}"

    def owned(self, owner: str | None) -> str:
        """The prefix of the list index for this owner (None: for all owners)."""
        return f"{self.root}index/" + (f"{digest_of(owner)}/" if owner is not None else "")

    def named(self, name: str, owner: str | None) -> str:
        """The prefix of the name index for this name and owner (None: for all owners)."""
        mine = f"{digest_of(owner)}/" if owner is not None else ""
        return f"{self.root}names/{digest_of(name)}/{mine}"

    def entries(self, reference: Reference, sequence: int) -> list[str]:
        """The keys of the clip's index entries. Raises ValueError if a time has too many digits."""
        second, tick = _LAST_SECOND - reference.created_at, _LAST_SEQUENCE - sequence
        if not 0 <= second <= _LAST_SECOND:
            raise ValueError(f"created_at is {reference.created_at}, not UNIX seconds")
        entry = f"{second:012d}{tick:020d}-{reference.id}"
        places = [self.owned(reference.owner)]
        if reference.name:
            places.append(self.named(reference.name, reference.owner))
        return [place + entry for place in places]


def parse(page: list[Listed]) -> list[IndexEntry]:
    """The index entries on a page, in its order; other keys are skipped."""
    entries = []
    for listed in page:
        match = _ENTRY.fullmatch(listed.key.rpartition("/")[2])
        if match and is_id(match[3]):
            order = (_LAST_SECOND - int(match[1]), _LAST_SEQUENCE - int(match[2]), match[3])
            entries.append(IndexEntry(listed.key, order, listed.modified))
    return entries


_References = list[Reference]  # inside the class, `list` is the method
_Entries = list[IndexEntry]


class S3Store:
    """References under one prefix of a bucket.

    Requests: put 2, get 1, read 1, delete 3; put and delete 1 more for a clip that has a name. `named`
    needs one list and one head (16 KiB), and one more head for each entry without a clip. `list` needs
    one request per 1,000 keys and one for the head of each clip that it returns: newest first for one
    owner it requests only the keys that it needs, otherwise all keys of the owner or of all owners.
    A call that is cancelled has changed all or nothing.
    """

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._keys = Keys(options.root)
        self._clock = RisingClock()  # of `Head.sequence`
        self._opened: Bucket | None = None  # between start and stop
        self._reads = Threads("read-clip", _THREADS)  # checksums take long
        self._writes = Threads("write-clip", _THREADS)

    async def start(self) -> None:
        """Try each kind of request. Raises OSError with what is wrong and what to do."""
        try:
            from .s3_bucket import Bucket
        except ModuleNotFoundError as error:
            raise OSError(
                f"a bucket for reference clips needs {error.name}: pip install 'cosyserve[s3]'"
            ) from error
        bucket = Bucket(self._options)
        await bucket.open()
        self._opened = bucket

    async def stop(self) -> None:
        self._reads.close()
        self._writes.close()
        bucket, self._opened = self._opened, None
        if bucket is not None:
            await bucket.close()

    async def put(self, reference: Reference, data: bytes) -> None:
        """As ReferenceStore; the id must be fresh. Raises EngineUnavailable if the service fails.

        The clip may exist nevertheless, whole, if only the answer was lost.
        """
        check_id(reference.id)
        entries = self._keys.entries(reference, sequence := self._clock.next())
        stored = await self._writes.run(_encode, reference, sequence, data)
        for entry in entries:
            await self._bucket.put(entry, b"")
        await self._bucket.put(self._keys.clip(reference.id), stored)

    async def get(self, owner: str | None, reference_id: str) -> Reference:
        return (await self._find(owner, reference_id)).reference

    async def named(self, owner: str | None, name: str) -> Reference:
        prefix = self._keys.named(name, owner)
        async for entries in self._entries(prefix, "desc", sorted_there=owner is not None):
            for entry in entries:
                if found := await self._reference(entry):
                    return found
        raise not_named(name)

    async def read(self, owner: str | None, reference_id: str) -> bytes:
        """As ReferenceStore. Raises InternalError if the clip is damaged."""
        stored = await self._bucket.get(self._keys.clip(check_id(reference_id)))
        if stored is None:
            raise not_found(reference_id)
        try:
            head = check_owner(_decode_head(stored, reference_id), owner)
        except DamagedClip as damage:
            _report(reference_id, damage)
            raise not_found(reference_id) from None
        try:
            return await self._reads.run(decode, stored, head)
        except DamagedClip as damage:
            _report(reference_id, damage)
            raise InternalError("the stored reference audio is damaged: upload it again") from None

    async def list(self, owner: str | None, limit: int, order: Order) -> list[Reference]:
        found: _References = []
        sorted_there = owner is not None and order == "desc"
        async for entries in self._entries(self._keys.owned(owner), order, sorted_there):
            while entries and len(found) < limit:
                wanted = limit - len(found)
                found += await self._references(entries[:wanted])
                entries = entries[wanted:]
            if len(found) >= limit:
                break
        return found

    async def count(self, owner: str) -> int:
        """As ReferenceStore: one request per 1,000 keys, which may be those of failed uploads too."""
        return sum([len(page) async for page in self._bucket.pages(self._keys.owned(owner))])

    async def delete(self, owner: str | None, reference_id: str) -> None:
        head = await self._find(owner, reference_id)
        await self._bucket.delete(self._keys.clip(reference_id))
        for entry in self._keys.entries(head.reference, head.sequence):
            await self._bucket.delete(entry)

    def documents(self, kind: str) -> S3Documents:
        return S3Documents(f"{self._options.root}{kind}/", lambda: self._bucket)

    @property
    def _bucket(self) -> Bucket:
        if self._opened is None:
            raise RuntimeError("the store is not started")
        return self._opened

    async def _find(self, owner: str | None, reference_id: str) -> Head:
        try:
            head = await self._head(check_id(reference_id))
        except DamagedClip as damage:
            _report(reference_id, damage)
            head = None
        if head is None:
            raise not_found(reference_id)
        return check_owner(head, owner)

    async def _head(self, reference_id: str) -> Head | None:
        """The head of a clip, None if there is no such clip. Raises DamagedClip."""
        size = _FIRST_READ
        while (start := await self._bucket.get(self._keys.clip(reference_id), size)) is not None:
            try:
                return decode_head(start, reference_id)
            except NeedMore as more:
                if more.size <= size:
                    raise DamagedClip("its metadata is cut short") from None
                size = more.size
        return None

    async def _entries(
        self, prefix: str, order: Order, sorted_there: bool
    ) -> AsyncIterator[_Entries]:
        """Entries of an index in this order: page by page if the service sorts them so, else all at once."""
        pages = self._bucket.pages(prefix)
        if sorted_there:
            async for page in pages:
                yield parse(page)
            return
        entries = [entry async for page in pages for entry in parse(page)]
        yield sorted(entries, key=lambda entry: entry.order, reverse=order == "desc")

    async def _references(self, entries: _Entries) -> _References:
        """The references of these entries in the same order, without those whose clip does not exist."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def reference(entry: IndexEntry) -> Reference | None:
            async with slots:
                return await self._reference(entry)

        # Not a task group, which would wrap the error in a group.
        results = await asyncio.gather(*map(reference, entries), return_exceptions=True)
        found: _References = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            if result is not None:
                found.append(result)
        return found

    async def _reference(self, entry: IndexEntry) -> Reference | None:
        try:
            head = await self._head(entry.order[2])
        except DamagedClip as damage:
            _report(entry.order[2], damage)
            return None
        if head is not None and head.order == entry.order:
            return head.reference
        if (datetime.now(UTC) - entry.modified).total_seconds() >= self._options.stale_after:
            await self._sweep(entry)
        return None

    async def _sweep(self, entry: IndexEntry) -> None:
        """Remove the entry of a failed upload; if that fails, a later list does it."""
        try:
            await self._bucket.delete(entry.key)
        except EngineUnavailable:
            return
        log.info("stale_upload_removed", key=entry.key)


def _encode(reference: Reference, sequence: int, data: bytes) -> bytes:
    return encode_head(reference, sequence, data) + data


def _decode_head(stored: bytes, reference_id: str) -> Head:
    """The head of a whole object. Raises DamagedClip."""
    try:
        return decode_head(stored, reference_id)
    except NeedMore:
        raise DamagedClip("its metadata is cut short") from None


def _report(reference_id: str, damage: DamagedClip) -> None:
    log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
