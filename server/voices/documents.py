"""Small documents beside the references, each whole or absent: in a folder, or in a bucket."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from cosyserve.engine.files import flush, write_temporary
from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import EngineUnavailable

from .record import digest_of, is_id

if TYPE_CHECKING:
    from .s3_bucket import Bucket

log = structlog.get_logger(__name__)

_SUFFIX: Final = ".json"


class Documents(Protocol):
    """Documents of one kind, each with an owner and an id, a lower-case UUID.

    Every method raises EngineUnavailable if the place fails.
    """

    async def put(self, owner: str, document_id: str, data: bytes) -> None:
        """Store or replace a document. Of two that replace it at once, one stays, whole."""

    async def get(self, owner: str, document_id: str) -> bytes | None:
        """The document; None if the owner has none of this id, whatever that looks like."""

    async def ids(self, owner: str) -> list[str]:
        """Of all the owner's documents."""

    async def delete(self, owner: str, document_id: str) -> None:
        """Delete it, if it exists."""


class LocalDocuments:
    """Files `<folder>/<digest of the owner>/<id>.json`, readable by the server's user only."""

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads

    async def put(self, owner: str, document_id: str, data: bytes) -> None:
        await self._threads.run(self._put, self._path(owner, document_id), data)

    async def get(self, owner: str, document_id: str) -> bytes | None:
        if not is_id(document_id):
            return None
        return await self._threads.run(self._get, self._path(owner, document_id))

    async def ids(self, owner: str) -> list[str]:
        return await self._threads.run(self._ids, self._folder / digest_of(owner))

    async def delete(self, owner: str, document_id: str) -> None:
        await self._threads.run(self._delete, self._path(owner, document_id))

    def _path(self, owner: str, document_id: str) -> Path:
        return self._folder / digest_of(owner) / f"{document_id}{_SUFFIX}"

    # The methods below run in threads.

    def _put(self, path: Path, data: bytes) -> None:
        with self._disk("put"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = write_temporary(path.parent, data)
            try:
                os.replace(temporary, path)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            flush(path.parent)

    def _get(self, path: Path) -> bytes | None:
        with self._disk("get"), suppress(FileNotFoundError):
            return path.read_bytes()
        return None

    def _ids(self, folder: Path) -> list[str]:
        with self._disk("list"), suppress(FileNotFoundError):
            names = [name.removesuffix(_SUFFIX) for name in os.listdir(folder)]
            return [name for name in names if is_id(name)]
        return []

    def _delete(self, path: Path) -> None:
        with self._disk("delete"), suppress(FileNotFoundError):
            os.unlink(path)
            flush(path.parent)

    @contextmanager
    def _disk(self, action: str) -> Iterator[None]:
        """Turn an OSError into an error for the client, and log it in full for the operator."""
        try:
            yield
        except OSError as error:
            log.error(
                "document_store_failed", action=action, folder=str(self._folder), error=str(error)
            )
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "is full" if full else "is unavailable"
            raise EngineUnavailable(f"the store beside the reference audio {what}") from error


class S3Documents:
    """Objects `<root><digest of the owner>/<id>`."""

    def __init__(self, root: str, bucket: Callable[[], Bucket]) -> None:
        """root: a prefix of keys that ends with a slash. bucket: the open one."""
        self._root = root
        self._bucket = bucket

    async def put(self, owner: str, document_id: str, data: bytes) -> None:
        await self._bucket().put(self._key(owner, document_id), data)

    async def get(self, owner: str, document_id: str) -> bytes | None:
        return (
            await self._bucket().get(self._key(owner, document_id)) if is_id(document_id) else None
        )

    async def ids(self, owner: str) -> list[str]:
        pages = self._bucket().pages(self._key(owner, ""))
        names = [listed.key.rpartition("/")[2] async for page in pages for listed in page]
        return [name for name in names if is_id(name)]

    async def delete(self, owner: str, document_id: str) -> None:
        await self._bucket().delete(self._key(owner, document_id))

    def _key(self, owner: str, document_id: str) -> str:
        return f"{self._root}{digest_of(owner)}/{document_id}"
