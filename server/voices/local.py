"""References in a local folder, one file each, by owner; several servers may share the folder."""

from __future__ import annotations

import asyncio
import errno
import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from cosyserve.engine.files import flush, sweep_temporary, write_file, write_temporary
from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import EngineUnavailable, InternalError

from .documents import LocalDocuments
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
    is_digest,
    is_id,
    not_found,
    not_named,
)
from .store import Order, Reference

log = structlog.get_logger(__name__)

_SUFFIX: Final = ".clip"
_FIRST_READ: Final = 4096  # bytes; holds the head of nearly every clip
_LOOKUP_THREADS: Final = 4
_READ_THREADS: Final = 2
_WRITE_THREADS: Final = 2

# Id -> the file's inode, time and size when it was read, and its head (None: damaged).
_Index = dict[str, tuple[tuple[int, int, int], Head | None]]
_References = list[Reference]  # inside the class, `list` is the method
_Heads = list[Head]
_Folders = list[Path]


class _Shelf:
    """One owner's folder. index: the heads as of the last listing; turn: one listing at a time, so that
    an owner who lists and lists takes one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: _Index = {}
        self.turn = asyncio.Lock()

    def path(self, reference_id: str) -> Path:
        return self.folder / f"{reference_id}{_SUFFIX}"

    def heads(self) -> _Heads:
        """The heads of the undamaged clips. Raises OSError."""
        self._refresh()
        return [head for _, head in self.index.values() if head is not None]

    def _refresh(self) -> None:
        """Update the index from the folder, which other servers may have changed."""
        fresh: _Index = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                reference_id = entry.name.removesuffix(_SUFFIX)
                if reference_id == entry.name or not is_id(reference_id):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                    stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                    known = self.index.get(reference_id)
                    if known is None or known[0] != stamp:
                        known = stamp, _head_or_none(Path(entry.path), reference_id)
                    fresh[reference_id] = known
                except FileNotFoundError:  # deleted since the folder was read
                    continue
                except OSError as error:  # skip this file, serve the others
                    log.error("reference_unreadable", reference_id=reference_id, error=str(error))
        self.index = fresh


_Shelves = list[_Shelf]


class LocalStore:
    """References as files `<digest of the owner>/<id>.clip`, readable by the server's user only (0600).

    A file is written under a temporary name, made durable, then renamed: after a crash at any point it
    exists whole or not at all. A later start removes temporary files that a crash left behind.
    Disk work is done in threads: look-ups in some, reading and writing of clips in others. Cancelling a
    call ends the waiting, not the work: a clip being put may then exist, whole, or not.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = RisingClock()  # of `Head.sequence`
        self._shelves: dict[str, _Shelf] = {}  # by the folder's name
        self._durable: set[Path] = set()  # owners' folders
        self._lookups = Threads("lookup", _LOOKUP_THREADS)
        self._reads = Threads("read-clip", _READ_THREADS)
        self._writes = Threads("write-clip", _WRITE_THREADS)

    async def start(self) -> None:
        """Make the folder, test that it is writable, remove stale temporary files. Raises OSError."""
        await self._lookups.run(self._start)

    async def stop(self) -> None:
        """End the threads; no file stays open between calls."""
        for threads in (self._lookups, self._reads, self._writes):
            threads.close()

    async def put(self, reference: Reference, data: bytes) -> None:
        """As ReferenceStore; the id must be fresh.

        Raises EngineUnavailable if the disk is full or fails.
        """
        check_id(reference.id)
        await self._writes.run(self._put, reference, self._clock.next(), data)

    async def get(self, owner: str | None, reference_id: str) -> Reference:
        return (await self._lookups.run(self._find, owner, check_id(reference_id)))[1].reference

    async def named(self, owner: str | None, name: str) -> Reference:
        """As ReferenceStore; takes as long as `list`."""
        newest = await self._lookups.run(_newest, await self._heads(owner), name)
        if newest is None:
            raise not_named(name)
        return newest.reference

    async def read(self, owner: str | None, reference_id: str) -> bytes:
        """As ReferenceStore. Raises InternalError if the clip is damaged."""
        return await self._reads.run(self._read, owner, check_id(reference_id))

    async def list(self, owner: str | None, limit: int, order: Order) -> list[Reference]:
        """As ReferenceStore. Scans the owner's folder (None: all) and reads only heads that are new."""
        heads = await self._heads(owner)
        return await self._lookups.run(_pick, heads, limit, order)

    async def count(self, owner: str) -> int:
        return len(await self._heads(owner))

    async def delete(self, owner: str | None, reference_id: str) -> None:
        await self._lookups.run(self._delete, owner, check_id(reference_id))

    def documents(self, kind: str) -> LocalDocuments:
        return LocalDocuments(self._folder / kind, self._lookups)

    async def _heads(self, owner: str | None) -> _Heads:
        """The heads of all undamaged clips that this owner sees."""
        found: _Heads = []
        for shelf in await self._lookups.run(self._seen, owner):
            async with shelf.turn:
                found += await self._lookups.run(self._scan, shelf)
        return found

    def _shelf(self, name: str) -> _Shelf:
        return self._shelves.setdefault(name, _Shelf(self._folder / name))

    # The methods below run in threads.

    def _start(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = write_temporary(self._folder)
            # The file system's clock: a network mount's may differ from ours.
            now = probe.stat().st_mtime
            probe.unlink()
            self._adopt()
            owned = (shelf.folder for shelf in self._all())
            for folder in (self._folder, *owned, *self._document_folders()):
                for name in sweep_temporary(folder, now):
                    log.info("stale_upload_removed", file=name)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the folder for reference clips cannot be used: {error.strerror}",
                str(self._folder),
            ) from error

    def _adopt(self) -> None:
        """Give their owners the clips that lie in the folder itself, as clips did at first."""
        for entry in list(os.scandir(self._folder)):
            reference_id = entry.name.removesuffix(_SUFFIX)
            if reference_id == entry.name or not is_id(reference_id) or not entry.is_file():
                continue
            try:
                if head := _head_or_none(Path(entry.path), reference_id):
                    os.replace(entry.path, self._made(head.reference.owner).path(reference_id))
            except FileNotFoundError:  # another process may be moving it too
                continue
            except OSError as error:  # it cannot be served, the others can
                log.error("reference_unreadable", reference_id=reference_id, error=str(error))

    def _put(self, reference: Reference, sequence: int, data: bytes) -> None:
        head = encode_head(reference, sequence, data)
        with self._disk("put", reference.id):
            write_file(self._made(reference.owner).path(reference.id), head, data)

    def _made(self, owner: str) -> _Shelf:
        """The owner's, which exists durably. Raises OSError."""
        shelf = self._shelf(digest_of(owner))
        with suppress(FileExistsError):
            os.mkdir(shelf.folder, 0o700)
            self._durable.discard(shelf.folder)  # an operator may have removed it
        if shelf.folder not in self._durable:
            flush(self._folder)
            self._durable.add(shelf.folder)
        return shelf

    def _all(self) -> _Shelves:
        """Every owner's. Raises OSError."""
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [self._shelf(name) for name in names if is_digest(name)]

    def _document_folders(self) -> _Folders:
        """The folders of documents of every kind and owner. Raises OSError."""
        kinds = [path for path in self._folder.iterdir() if path.is_dir()]
        return [
            path
            for kind in kinds
            if not is_digest(kind.name)
            for path in kind.iterdir()
            if is_digest(path.name)
        ]

    def _seen(self, owner: str | None) -> _Shelves:
        """Those that this owner sees."""
        with self._disk("list", None):
            if owner is None:
                return self._all()
            shelf = self._shelf(digest_of(owner))
            if not shelf.folder.is_dir():
                os.stat(self._folder)  # a place that has vanished is no empty list
                return []
            return [shelf]

    def _scan(self, shelf: _Shelf) -> _Heads:
        with self._disk("list", None):
            return shelf.heads()

    def _find(self, owner: str | None, reference_id: str) -> tuple[Path, Head]:
        for shelf in self._seen(owner):
            path = shelf.path(reference_id)
            with self._disk("get", reference_id), suppress(FileNotFoundError):
                try:
                    return path, check_owner(_read_head(path, reference_id), owner)
                except DamagedClip as damage:
                    log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
        raise not_found(reference_id)

    def _read(self, owner: str | None, reference_id: str) -> bytes:
        path, head = self._find(owner, reference_id)
        with self._disk("read", reference_id):
            stored = path.read_bytes()
        try:
            return decode(stored, head)
        except DamagedClip as damage:
            log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
            raise InternalError("the stored reference audio is damaged: upload it again") from None

    def _delete(self, owner: str | None, reference_id: str) -> None:
        path, _ = self._find(owner, reference_id)
        with self._disk("delete", reference_id):
            os.unlink(path)
            flush(path.parent)

    @contextmanager
    def _disk(self, action: str, reference_id: str | None) -> Iterator[None]:
        """Turn an OSError into an error for the client, and log it in full for the operator."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and reference_id and action != "put":
                raise not_found(reference_id) from None
            log.error(
                "reference_store_failed", action=action, folder=str(self._folder), error=str(error)
            )
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise EngineUnavailable("the store for reference audio is full") from error
            raise EngineUnavailable("the store for reference audio is unavailable") from error


def _pick(heads: _Heads, limit: int, order: Order) -> _References:
    pick = heapq.nsmallest if order == "asc" else heapq.nlargest
    return [head.reference for head in pick(limit, heads, key=lambda head: head.order)]


def _newest(heads: _Heads, name: str) -> Head | None:
    named = (head for head in heads if name and head.reference.name == name)
    return max(named, key=lambda head: head.order, default=None)


def _read_head(path: Path, reference_id: str) -> Head:
    """Raises OSError, DamagedClip."""
    with path.open("rb", buffering=0) as file:
        start = file.read(_FIRST_READ)
        try:
            return decode_head(start, reference_id)
        except NeedMore as more:
            start += file.read(more.size - len(start))
        try:
            return decode_head(start, reference_id)
        except NeedMore:
            raise DamagedClip("its metadata is cut short") from None


def _head_or_none(path: Path, reference_id: str) -> Head | None:
    """None for a damaged clip. Raises OSError."""
    try:
        return _read_head(path, reference_id)
    except DamagedClip as damage:
        log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
        return None
