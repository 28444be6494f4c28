"""All deliveries of a server, for which a shutdown waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from .delivery import Delivery


class Deliveries:
    """Makes deliveries, and knows those under way. stall_limit: as in Delivery."""

    def __init__(self, stall_limit: float) -> None:
        self._stall_limit = stall_limit
        self._connections: set[Delivery] = set()
        self._answers = 0  # answers to requests that are under way
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    def connect(self, transport: asyncio.Transport) -> Delivery:
        """The delivery of a WebSocket connection, which lasts until `disconnect`."""
        delivery = Delivery(transport, self._stall_limit)
        self._connections.add(delivery)
        return delivery

    def disconnect(self, delivery: Delivery) -> None:
        """Take note that a connection is lost."""
        delivery.end()
        self._connections.discard(delivery)

    @contextmanager
    def answer(self, transport: asyncio.Transport) -> Iterator[Delivery]:
        """The delivery of one request's answer, as a context that ends with the answer."""
        delivery = Delivery(transport, self._stall_limit)
        self._answers += 1
        self._all_answered.clear()
        try:
            yield delivery
        finally:
            delivery.end()
            self._answers -= 1
            if not self._answers:
                self._all_answered.set()

    async def all_taken(self) -> None:
        """Wait until all answers are over and every connection's peer has taken every byte. Cancel-safe."""
        await self._all_answered.wait()
        await asyncio.gather(*(each.taken() for each in self._connections))

    def cut(self, reason: str) -> None:
        """Abort every connection."""
        for delivery in list(self._connections):
            delivery.cut(reason)
