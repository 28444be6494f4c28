"""The counts of a day, kept in a file, so that a restart gives nobody a new day."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson
import structlog

from cosyserve.engine.files import flush, write_temporary
from cosyserve.engine.threads import Threads

from .book import DailyQuotas, Use

log = structlog.get_logger(__name__)

NAME: Final = "quotas.json"
WRITE_EVERY: Final = 10.0
"""Seconds; a server that is killed forgets the counts of as many at most."""
_LARGEST: Final = 16 * 1024**2


class QuotaFile:
    """Keeps counts in `folder`, of one server. The file is whole after a crash: the old one or the new one.

    It is written while somebody has a quota and has used some of it, never on the event loop. A file that
    cannot be read or written stops nothing, and is logged once.
    """

    def __init__(self, quotas: DailyQuotas, folder: Path) -> None:
        self._quotas = quotas
        self._path = folder / NAME
        self._thread = Threads("quotas", 1)
        self._written = quotas.changes
        self._fails = False

    async def read(self) -> None:
        """Go on with the day of the file, if it has not ended."""
        try:
            data = await self._thread.run(self._bytes)
            if data is not None:
                self._resume(data)
        except OSError as error:
            self._log(f"cannot read it: {error.strerror}")
        except (ValueError, KeyError, TypeError):
            self._log("it is damaged; the day's counts begin at 0")

    async def watch(self, every: float = WRITE_EVERY) -> None:
        """Write changes, for ever. every: seconds."""
        while True:
            await asyncio.sleep(every)
            await self.write()

    async def write(self) -> None:
        """Write the counts, if they have changed since."""
        changes = self._quotas.changes
        if changes == self._written or not self._quotas.any:
            return
        day = self._quotas.day
        used = {name: [use.characters, use.seconds] for name, use in self._quotas.uses().items()}
        data = orjson.dumps({"at": day.now, "ends": day.ends, "used": used})
        try:
            await self._thread.run(self._put, data)
        except OSError as error:
            self._log(f"cannot write it: {error.strerror}")
        else:
            self._written, self._fails = changes, False

    async def close(self) -> None:
        """Write the last changes, and free the thread."""
        await self.write()
        self._thread.close()

    def _resume(self, data: bytes) -> None:
        """Raises ValueError, KeyError, TypeError for content that was not written here."""
        kept = orjson.loads(data)
        uses = {
            str(name): Use(int(characters), float(seconds))
            for name, (characters, seconds) in dict(kept["used"]).items()
        }
        if self._quotas.day.resume(float(kept["ends"]), float(kept["at"])):
            self._quotas.resume(uses)

    def _bytes(self) -> bytes | None:
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            return file.read(_LARGEST)
        return None

    def _put(self, data: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = write_temporary(self._path.parent, data)
        try:
            os.replace(temporary, self._path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        flush(self._path.parent)

    def _log(self, reason: str) -> None:
        if not self._fails:
            self._fails = True
            log.error("quotas_not_kept", file=str(self._path), reason=reason)
