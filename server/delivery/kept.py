"""The sound of answers that name an address for it: kept for a while, and only in room that is free."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .spool import Spool, Spools


@dataclass(slots=True, eq=False)
class KeptSound:
    """A sound and its secret name. expires_at: UNIX seconds. readers: answers that send it now."""

    name: str
    spool: Spool
    content_type: str
    expires_at: int
    readers: int = 0
    over: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class KeptSounds:
    """Sounds by their names, the oldest first. For one event loop.

    They are in spools, which they give back when their time is over, or when an answer that is being made
    needs the room: then the oldest go first, of the token whose room it is.
    """

    def __init__(self, spools: Spools, lifetime: float) -> None:
        """lifetime: seconds."""
        self._lifetime = lifetime
        self._sounds: dict[str, KeptSound] = {}
        spools.reclaim = self._reclaim

    def __len__(self) -> int:
        return len(self._sounds)

    def keep(self, spool: Spool, content_type: str) -> KeptSound:
        """Take over the spool of a sound that is whole."""
        name = secrets.token_hex(16)
        sound = KeptSound(name, spool, content_type, int(time.time() + self._lifetime))
        sound.timer = asyncio.get_running_loop().call_later(self._lifetime, self._drop, sound)
        self._sounds[name] = sound
        spool.made()
        return sound

    @contextmanager
    def reading(self, name: str) -> Iterator[KeptSound | None]:
        """The sound of that name, which stays within; None if there is none, or none any more."""
        sound = self._sounds.get(name)
        if sound is None:
            yield None
            return
        sound.readers += 1
        try:
            yield sound
        finally:
            sound.readers -= 1
            if sound.over and not sound.readers:
                sound.spool.close()

    def close(self) -> None:
        """Give all spools back."""
        for sound in list(self._sounds.values()):
            self._drop(sound)

    def _reclaim(self, owner: str | None) -> bool:
        """Give the oldest spool of that token (None: of any) back; False if there is none to give."""
        for sound in self._sounds.values():
            if not sound.readers and owner in (None, sound.spool.owner):
                self._drop(sound)
                return True
        return False

    def _drop(self, sound: KeptSound) -> None:
        del self._sounds[sound.name]
        sound.over = True
        if sound.timer is not None:
            sound.timer.cancel()
        if not sound.readers:
            sound.spool.close()
