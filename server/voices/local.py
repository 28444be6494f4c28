"""References in a local folder, one file each; several servers may share the folder."""

from __future__ import annotations

import asyncio
import errno
import heapq
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from cosyserve.engine.files import flush, sweep_temporary, write_file, write_temporary
from cosyserve.protocol.errors import EngineUnavailable, InternalError

from .record import (
    DamagedClip,
    Head,
    NeedMore,
    RisingClock,
    check_id,
    check_owner,
    decode,
    decode_head,
    encode_head,
    is_id,
    not_found,
    not_named,
)
from .store import Order, Reference

log = structlog.get_logger(__name__)

_SUFFIX: Final = ".clip"
_FIRST_READ: Final = 4096  # bytes; holds the head of nearly every clip

# Id -> the file's inode, time and size when it was read, and its head (None: damaged).
_Index = dict[str, tuple[tuple[int, int, int], Head | None]]
_References = list[Reference]  # inside the class, `list` is the method
_Heads = list[Head]


class LocalStore:
    """References as files `<id>.clip` in one folder, readable by the server's user only (0600).

    A file is written under a temporary name, made durable, then renamed: after a crash at any point it
    exists whole or not at all. A later start removes temporary files that a crash left behind.
    Disk work is done in threads. Cancelling a call ends the waiting, not the work: a clip being put may
    then exist, whole, or not.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = RisingClock()  # of `Head.sequence`
        self._index: _Index = {}  # the heads as of the last listing
        self._index_lock = threading.Lock()

    async def start(self) -> None:
        """Make the folder, test that it is writable, remove stale temporary files. Raises OSError."""
        await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Do nothing: no file stays open between calls."""

    async def put(self, reference: Reference, data: bytes) -> None:
        """As ReferenceStore; the id must be fresh.

        Raises EngineUnavailable if the disk is full or fails.
        """
        check_id(reference.id)
        await asyncio.to_thread(self._put, reference, self._clock.next(), data)

    async def get(self, owner: str | None, reference_id: str) -> Reference:
        return (await asyncio.to_thread(self._find, owner, check_id(reference_id))).reference

    async def named(self, owner: str | None, name: str) -> Reference:
        """As ReferenceStore; takes as long as `list`."""
        return await asyncio.to_thread(self._named, owner, name)

    async def read(self, owner: str | None, reference_id: str) -> bytes:
        """As ReferenceStore. Raises InternalError if the clip is damaged."""
        return await asyncio.to_thread(self._read, owner, check_id(reference_id))

    async def list(self, owner: str | None, limit: int, order: Order) -> list[Reference]:
        """As ReferenceStore. Scans the folder and reads only the heads of files that are new or changed."""
        return await asyncio.to_thread(self._list, owner, limit, order)

    async def delete(self, owner: str | None, reference_id: str) -> None:
        await asyncio.to_thread(self._delete, owner, check_id(reference_id))

    # The methods below run in threads.

    def _path(self, reference_id: str) -> Path:
        return self._folder / f"{reference_id}{_SUFFIX}"

    def _start(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = write_temporary(self._folder)
            # The file system's clock: a network mount's may differ from ours.
            now = probe.stat().st_mtime
            probe.unlink()
            for name in sweep_temporary(self._folder, now):
                log.info("stale_upload_removed", file=name)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the folder for reference clips cannot be used: {error.strerror}",
                str(self._folder),
            ) from error

    def _put(self, reference: Reference, sequence: int, data: bytes) -> None:
        head = encode_head(reference, sequence, data)
        path = self._path(reference.id)
        with self._disk("put", reference.id):
            write_file(path, head, data)

    def _find(self, owner: str | None, reference_id: str) -> Head:
        with self._disk("get", reference_id):
            try:
                return check_owner(_read_head(self._path(reference_id), reference_id), owner)
            except DamagedClip as damage:
                log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
                raise not_found(reference_id) from None

    def _read(self, owner: str | None, reference_id: str) -> bytes:
        head = self._find(owner, reference_id)
        with self._disk("read", reference_id):
            stored = self._path(reference_id).read_bytes()
        try:
            return decode(stored, head)
        except DamagedClip as damage:
            log.error("reference_damaged", reference_id=reference_id, reason=str(damage))
            raise InternalError("the stored reference audio is damaged: upload it again") from None

    def _delete(self, owner: str | None, reference_id: str) -> None:
        self._find(owner, reference_id)
        with self._disk("delete", reference_id):
            os.unlink(self._path(reference_id))
            flush(self._folder)

    def _list(self, owner: str | None, limit: int, order: Order) -> _References:
        pick = heapq.nsmallest if order == "asc" else heapq.nlargest
        heads = pick(limit, self._heads(owner), key=lambda head: head.order)
        return [head.reference for head in heads]

    def _named(self, owner: str | None, name: str) -> Reference:
        heads = (head for head in self._heads(owner) if name and head.reference.name == name)
        newest = max(heads, key=lambda head: head.order, default=None)
        if newest is None:
            raise not_named(name)
        return newest.reference

    def _heads(self, owner: str | None) -> _Heads:
        """The heads of all undamaged clips that this owner sees."""
        with self._disk("list", None), self._index_lock:
            self._refresh()
            heads = [head for _, head in self._index.values() if head is not None]
        return [head for head in heads if owner is None or head.reference.owner == owner]

    def _refresh(self) -> None:
        """Update the index from the folder, which other servers may have changed."""
        fresh: _Index = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                reference_id = entry.name.removesuffix(_SUFFIX)
                if reference_id == entry.name or not is_id(reference_id):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                    stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                    known = self._index.get(reference_id)
                    if known is None or known[0] != stamp:
                        known = stamp, _head_or_none(Path(entry.path), reference_id)
                    fresh[reference_id] = known
                except FileNotFoundError:  # deleted since the folder was read
                    continue
                except OSError as error:  # skip this file, serve the others
                    log.error("reference_unreadable", reference_id=reference_id, error=str(error))
        self._index = fresh

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
