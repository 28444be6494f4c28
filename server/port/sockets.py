"""How many sockets the port has open, and which of them goes when there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

SPARE: Final = 256
"""Sockets besides the connections that are let in: for requests, probes and those to be refused in words."""


class Sockets:
    """All accepted sockets, from the first byte of a TLS handshake on, at most `limit` of them.

    A socket is a stranger until it has brought a valid token. If one socket more than the limit comes, the
    oldest stranger is cut off: whoever does not come to the point cannot keep others out. The new one is
    refused only if all others are known.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._strangers: dict[asyncio.BaseProtocol, Callable[[], None]] = {}  # oldest first
        self._known: set[asyncio.BaseProtocol] = set()
        self._full = False

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def accept(self, protocol: asyncio.BaseProtocol, abort: Callable[[], None]) -> bool:
        """Take a place for the socket of this protocol; False if there is none.

        abort: ends the connection; called if the place is needed for another one.
        """
        if len(self) >= self._limit:
            self._tell("sockets_full", limit=self._limit, strangers=len(self._strangers))
            if not self._strangers:
                return False
            oldest = next(iter(self._strangers))
            self._strangers.pop(oldest)()
        self._strangers[protocol] = abort
        return True

    def know(self, protocol: asyncio.BaseProtocol) -> None:
        """Take note that a token came over this protocol's socket, if it is one of these."""
        if self._strangers.pop(protocol, None) is not None:
            self._known.add(protocol)

    def leave(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the place back, if the socket still has one."""
        self._strangers.pop(protocol, None)
        self._known.discard(protocol)
        if len(self) <= self._limit // 2:
            self._full = False

    def cut(self) -> None:
        """Cut off all strangers."""
        while self._strangers:
            self._strangers.pop(next(iter(self._strangers)))()

    def _tell(self, event: str, **fields: int) -> None:
        """Log it once, until half of the places are free again: floods must not fill the log."""
        if not self._full:
            self._full = True
            log.warning(event, **fields)
