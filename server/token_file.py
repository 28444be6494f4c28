"""The token file is read anew when it changes, and when the operator says so."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import structlog

from cosyserve.engine.folders import expanded
from cosyserve.engine.threads import Threads

from .services import Services

log = structlog.get_logger(__name__)

LOOK_AGAIN: Final = 2.0
"""Seconds."""

_State = tuple[int, int, int]


class TokenFile:
    """Puts the tokens of the settings' token file into force. For one event loop.

    What runs goes on. A file that cannot be used leaves the tokens as they are, and is logged once.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._path = services.settings.token_file
        self._seen: _State | None = None  # a change since the settings were read is seen, too
        self._reading = asyncio.Lock()
        self._thread = Threads("tokens", 1)

    def close(self) -> None:
        """Free the thread that reads."""
        self._thread.close()

    async def watch(self, every: float = LOOK_AGAIN) -> None:
        """Read the file whenever it has changed, for ever; at once if there is none. every: seconds."""
        while self._path is not None:
            await asyncio.sleep(every)
            if await self._thread.run(self._state) != self._seen:
                await self.read()

    async def read(self) -> None:
        """Read the file now."""
        async with self._reading:
            # Before the file: what changes while it is read counts as a change.
            self._seen = await self._thread.run(self._state)
            try:
                tokens = await self._thread.run(self._services.settings.tokens_now)
            except ValueError as error:
                log.error("tokens_kept", reason=str(error))
                return
            services = self._services
            # Metrics first: a caller is never without its name.
            services.metrics.know_tokens(token.name for token in tokens)
            services.admission.share_among(len(tokens))
            services.quotas.replace(services.settings.own_quotas(tokens))
            services.metrics.watch_quotas(services.quotas)
            change = services.authenticator.replace(tokens)
            log.info("tokens_read", added=change.added, removed=change.removed)

    def _state(self) -> _State | None:
        """What changes with the file; None if it cannot be seen."""
        if self._path is None:
            return None
        try:
            about = os.stat(expanded(self._path))
        except OSError:
            return None
        return about.st_mtime_ns, about.st_size, about.st_ino
