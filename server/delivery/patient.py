"""A WebSocket connection whose timeouts suit clients that read no faster than they play."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode

from .delivery import Delivery
from .registry import Deliveries

CLOSE_TIMEOUT: Final = 2.0
"""Seconds in which a peer that has read everything must answer a close frame."""

_LOOKS: Final = 4  # per ping timeout, while waiting for a pong


class PatientConnection(ServerConnection):
    """Measures progress where the base class measures time.

    A ping and a close frame wait at the peer behind all sound that it has not read yet. So a peer is
    given up only if it takes no byte, or if it does not answer although it must have read all that it
    took. The base class's close_timeout applies to the opening handshake only.
    """

    delivery: Delivery

    def __init__(self, *args: Any, deliveries: Deliveries, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deliveries = deliveries
        self._ending: asyncio.Task[None] | None = (
            None  # aborts the connection if it closes too slowly
        )

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """Do the opening handshake, as the base class does."""
        await super().handshake(*args, **kwargs)
        self.close_timeout = None

    async def close(
        self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Send a close frame after all that was written, and wait until the connection is closed.

        The peer has as long as it goes on taking and reading.
        """
        self._end_in_time()
        await super().close(code, reason)

    async def keepalive(self) -> None:
        """Send pings and wait for pongs; the base class would take a late pong for a lost one."""
        assert self.ping_interval is not None
        while True:
            await asyncio.sleep(self.ping_interval)
            read_until = self.delivery.read_until
            with self.delivery.awaited():
                pong = await self.ping()
            if self.ping_timeout is None:
                continue
            if not await self._comes(pong, self.ping_timeout):
                self.protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
                self.send_data()
                self.delivery.cut("the client took nothing and did not answer a ping")
                return
            self.delivery.answered(read_until)

    async def _comes(self, pong: Any, limit: float) -> bool:
        """Wait for a pong. False if neither it nor any progress has come for `limit` seconds."""
        delivery, taken = self.delivery, None
        alive = self.loop.time()
        reads = delivery.read_until > alive
        while not (await asyncio.wait({pong}, timeout=limit / _LOOKS))[0]:
            now = self.loop.time()
            if (reading := delivery.look()) is None:
                return True  # the connection is lost: keepalive has nothing more to decide
            if reading.taken != taken:
                taken, alive = reading.taken, now
            # It answers when it has read what it took, and while reading it may pause for the stall limit.
            reads = reads or delivery.read_until > now
            due = max(limit, delivery.stall_limit) if reads or reading.unsent else limit
            if now - max(alive, delivery.read_until) >= due:
                return False
        return True

    # The end of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.delivery = self._deliveries.connect(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.close_expected():
            self._end_in_time()

    def eof_received(self) -> None:
        super().eof_received()
        self._end_in_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deliveries.disconnect(self.delivery)
        if self._ending is not None:
            self._ending.cancel()
        super().connection_lost(exc)

    def _end_in_time(self) -> None:
        if self._ending is None and not self.delivery.lost:
            self._ending = self.loop.create_task(self._end())

    async def _end(self) -> None:
        """Wait until the connection should be closed, then abort it."""
        await self.delivery.taken()
        if self.protocol.close_rcvd is None:  # otherwise the peer reads no more
            await asyncio.sleep(self.delivery.read_until - self.loop.time())
        await asyncio.sleep(CLOSE_TIMEOUT)
        self.delivery.cut("the client did not close the connection")
