"""Whole answers until their clients have them: small ones in memory, all others in files."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import structlog

from cosyserve.protocol.errors import InternalError, Throttled

from .quota import Quota

log = structlog.get_logger(__name__)

MEMORY_EACH: Final = 256 * 1024
"""Bytes that a spool may hold in memory."""
MEMORY_ALL: Final = 32 * 1024**2
"""Bytes that all spools together may hold in memory."""
FILES_ALL: Final = 512
"""Files that may be open; the bytes of many small ones would let too many be."""
FILES_EACH_TOKEN: Final = 256

_PREFIX: Final = "cosyserve-spool-"
_LEFT_OVER_AFTER: Final = 60.0
"""Seconds without a change. A file has a name for a moment only, unless its server died in it."""
_THREADS: Final = 2
_THIS_TOKEN: Final = "this token"
_ALL_TOKENS: Final = "all tokens"

_Result = TypeVar("_Result")


class SpoolLimits(Protocol):
    """The settings that spools read."""

    @property
    def spool_bytes(self) -> int: ...
    @property
    def spool_bytes_per_token(self) -> int: ...
    @property
    def spool_wait(self) -> float: ...
    @property
    def max_whole_bytes(self) -> int: ...


class Spools:
    """All spools of a server, counted in all and for each token. For one event loop.

    A task's place is free when its speech is made; its spool goes when the client has the answer. A spool
    that finds no room waits for older ones, and its task keeps its place meanwhile: what it has made is not
    lost, and there are never more that wait than tasks.
    """

    def __init__(self, folder: Path | None, limits: SpoolLimits) -> None:
        """folder: for the files; None is the system's temporary folder."""
        self._folder = folder
        self._limits = limits
        self._open_now = 0
        self._waiting = 0
        self._all = self._quota(limits.spool_bytes, _ALL_TOKENS)
        self._quotas: dict[str, Quota] = {}  # by the token's name, as the files
        self._freed = asyncio.Event()  # replaced when it is set
        self._files: Counter[str] = Counter()
        self._in_memory = 0
        self.reclaim: Callable[[str | None], bool] = lambda owner: False
        """Closes a spool that may go, of that token (None: of any); False if there is none."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spool")

    @property
    def folder(self) -> Path:
        """Where the files are. Raises FileNotFoundError if the system has no temporary folder."""
        return Path(tempfile.gettempdir()) if self._folder is None else self._folder

    @property
    def open_now(self) -> int:
        """How many are open."""
        return self._open_now

    @property
    def waiting(self) -> int:
        """How many of these wait for room."""
        return self._waiting

    @property
    def size(self) -> int:
        """Bytes in all of them."""
        return self._all.size

    @property
    def size_in_memory(self) -> int:
        """Those of these bytes that are in no file."""
        return self._in_memory

    def open(self, owner: str) -> Spool:
        """A new one for the token of that name; to be entered as a context."""
        self._open_now += 1
        quota = self._quotas.get(owner)
        if quota is None:
            quota = self._quota(self._limits.spool_bytes_per_token, _THIS_TOKEN)
            self._quotas[owner] = quota
        return Spool(self, owner, (quota, self._all))

    def start(self) -> None:
        """Make the folder, try it, and remove what a server that died left there. Raises OSError."""
        folder = self.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = time.time() - _LEFT_OVER_AFTER
        for path in folder.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # another user's
                if path.lstat().st_mtime < before:
                    path.unlink()
        with tempfile.TemporaryFile(prefix=_PREFIX, dir=folder) as file:
            file.write(b"\0")

    def stop(self) -> None:
        """To be called when all are closed. Does not wait for the file system."""
        self._threads.shutdown(wait=False)

    # For spools

    def new_file(self) -> tempfile.SpooledTemporaryFile[bytes]:
        """A file in memory until it is rolled over; then it has no name, so that it ends with us."""
        folder = None if self._folder is None else str(self._folder)
        return tempfile.SpooledTemporaryFile(prefix=_PREFIX, dir=folder)

    async def take(self, spool: Spool, size: int) -> None:
        """Count more bytes of this spool, once there is room.

        Raises Throttled if there is none within the time for this, or never will be.
        """
        for quota in spool.quotas:
            _check(spool.size + size, quota.limit, "bytes", quota.whose)
        full = self._full(spool, size)
        if full is not None:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._limits.spool_wait):
                    while full is not None:
                        await self._freed.wait()
                        full = self._full(spool, size)
            except TimeoutError:
                pass
            finally:
                self._waiting -= 1
            if full is not None:
                raise _over(full.limit, "bytes", full.whose)
        for quota in spool.quotas:
            quota.size += size

    def made(self, spool: Spool) -> None:
        """Take note that it grows no more; may be called twice."""
        for quota in spool.quotas:
            quota.end(spool)
        self._tell_of_room()

    def take_file(self, owner: str) -> None:
        """Count one more file. Raises Throttled."""
        while self._files[owner] >= FILES_EACH_TOKEN and self.reclaim(owner):
            pass
        while self._files.total() >= FILES_ALL and self.reclaim(None):
            pass
        _check(self._files[owner] + 1, FILES_EACH_TOKEN, "files", _THIS_TOKEN)
        _check(self._files.total() + 1, FILES_ALL, "files", _ALL_TOKENS)
        self._files[owner] += 1

    def take_memory(self, size: int) -> bool:
        """Count more bytes in memory; False if they may not be there."""
        if self._in_memory + size > MEMORY_ALL:
            return False
        self._in_memory += size
        return True

    def free_memory(self, size: int) -> None:
        self._in_memory -= size

    def give_back(self, spool: Spool, files: int) -> None:
        """Count a spool no longer."""
        owner = spool.owner
        self._open_now -= 1
        for quota in spool.quotas:
            quota.size -= spool.size
        self.made(spool)
        self._quotas = {name: quota for name, quota in self._quotas.items() if not quota.unused}
        self._files[owner] -= files
        if not self._files[owner]:
            del self._files[owner]

    def submit(self, step: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Run it on a thread for files."""
        return asyncio.get_running_loop().run_in_executor(self._threads, step)

    def _quota(self, limit: int, whose: str) -> Quota:
        return Quota(limit, self._limits.max_whole_bytes, whose)

    def _full(self, spool: Spool, size: int) -> Quota | None:
        """The quota that has no room for so many bytes more, whatever may go; None if all have."""
        for quota in spool.quotas:
            while not quota.has_room(spool, size):
                if not self.reclaim(None if quota is self._all else spool.owner):
                    return quota
        return None

    def _tell_of_room(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()


class Spool:
    """The bytes of one answer, as they come. It ends with its context: no byte and no file is left.

    One coroutine may use it at a time. Where a file fails, the log says why and InternalError is raised.
    """

    def __init__(self, spools: Spools, owner: str, quotas: Sequence[Quota]) -> None:
        self._spools = spools
        self.owner = owner
        self.quotas = quotas
        self._file = spools.new_file()
        self._lock = threading.Lock()
        """A cancelled coroutine leaves its step running: the file must not be closed within."""
        self._in_memory: int | None = 0  # bytes counted as such; None once they are in a file
        self._files = 0  # counted as such
        self._size = 0
        self._closed = False
        for quota in quotas:
            quota.begin(self)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    async def write(self, data: bytes) -> None:
        """Append, once there is room. Raises Throttled where that takes too long, InternalError."""
        await self._spools.take(self, len(data))
        at, self._size = self._size, self._size + len(data)
        if self._in_memory is not None:
            if self._size <= MEMORY_EACH and self._spools.take_memory(len(data)):
                self._in_memory += len(data)
                self._put(at, data)
                return
            self._spools.take_file(self.owner)
            self._files = 1
            await self._in_thread(self._file.rollover)
            self._spools.free_memory(self._in_memory)
            self._in_memory = None
        await self._in_thread(lambda: self._put(at, data))

    def made(self) -> None:
        """Take note that nothing more is written: younger ones need to leave it no room."""
        self._spools.made(self)

    async def overwrite(self, data: bytes) -> None:
        """Put this in place of the first bytes. Raises InternalError."""
        await self._step(lambda: self._put(0, data))

    async def read(self, begin: int, end: int) -> bytes:
        """The bytes from `begin` to before `end`. Raises InternalError."""
        return await self._step(lambda: self._get(begin, end))

    def close(self) -> None:
        """Give everything back. Does not wait for the file system, and may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._spools.give_back(self, self._files)
        if self._in_memory:
            self._spools.free_memory(self._in_memory)
        self._spools.submit(self._close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, at: int, data: bytes) -> None:
        self._file.seek(at)
        self._file.write(data)
        self._file.flush()  # a full disk must be known before anything is sent

    def _get(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)

    def _close(self) -> None:
        with self._lock, suppress(OSError):
            self._file.close()

    async def _step(self, step: Callable[[], _Result]) -> _Result:
        return await self._in_thread(step) if self._in_memory is None else step()

    async def _in_thread(self, step: Callable[[], _Result]) -> _Result:
        def locked() -> _Result:
            with self._lock:
                return step()

        try:
            return await self._spools.submit(locked)
        except OSError as error:
            log.error("spool_failed", reason=str(error))
            raise InternalError(
                "the server cannot keep a whole answer now; ask for a stream instead"
            ) from error


def _check(wanted: int, limit: int, what: str, whose: str) -> None:
    if wanted > limit:
        raise _over(limit, what, whose)


def _over(limit: int, what: str, whose: str) -> Throttled:
    return Throttled(
        f"the unread whole answers of {whose} may have {limit} {what}; a stream has no such limit"
    )
