from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvloop
from structlog.testing import capture_logs

from cosyserve.server.delivery import Deliveries, Delivery
from cosyserve.server.delivery.delivery import (
    LARGEST_QUEUE,
    LARGEST_STEP,
    SLOWEST_READER,
    SMALLEST_QUEUE,
    UNKNOWN_PACE,
)
from cosyserve.server.delivery.kernel import Gauge, keep_unsent_below

BIG = bytes(4_000_000)


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A server's transport, and the socket of its peer, which reads only by hand."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[asyncio.Transport] = loop.create_future()

    class Accepts(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(cast(asyncio.Transport, transport))

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    keep_unsent_below(listening, 16384)
    server = await loop.create_server(Accepts, sock=listening)
    peer = socket.create_connection(listening.getsockname())
    peer.setblocking(False)
    transport = await accepted
    try:
        yield transport, peer
    finally:
        transport.abort()
        peer.close()
        server.close()
        await server.wait_closed()


async def read(peer: socket.socket, count: int) -> None:
    loop = asyncio.get_running_loop()
    while count > 0:
        count -= len(await loop.sock_recv(peer, min(count, 65536)))


async def test_all_is_taken_only_once_the_peer_has_it() -> None:
    async with pair() as (transport, peer):
        delivery = Delivery(transport, 60.0)
        transport.write(BIG)
        waiting = asyncio.ensure_future(delivery.taken())
        await read(peer, len(BIG) // 4)
        assert not waiting.done()
        reading = delivery.look()
        assert reading is not None
        assert reading.unsent > 0
        await read(peer, len(BIG) - len(BIG) // 4)
        await asyncio.wait_for(waiting, 10)
        delivery.end()


async def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    async with pair() as (transport, _peer):
        delivery = Delivery(transport, 0.05)
        delivery.sound(1_000_000, 0.1)  # of a fast pace: little is added to the limit
        transport.write(BIG)
        with capture_logs() as lines:
            await asyncio.wait_for(delivery.taken(), 10)
    assert delivery.lost
    (line,) = lines
    assert line["event"] == "connection_cut"
    assert line["reason"].startswith("the client took nothing for ")
    assert line["unsent"] > 0


async def test_nobody_is_cut_off_while_nothing_is_awaited() -> None:
    async with pair() as (transport, peer):
        delivery = Delivery(transport, 0.01)
        delivery.sound(1_000_000, 0.1)
        transport.write(BIG)
        with delivery.awaited():
            pass
        await read(peer, len(BIG))
        assert not delivery.lost
        delivery.end()


async def test_the_stall_limit_leaves_a_slow_reader_its_steps() -> None:
    async with pair() as (transport, peer):
        delivery = Delivery(transport, 10.0)
        assert 10.0 < delivery.stall_limit <= 10 + LARGEST_STEP / (SLOWEST_READER * UNKNOWN_PACE)
        delivery.sound(2_000, 1.0)
        slow = delivery.stall_limit
        for _ in range(50):
            delivery.sound(20_000, 1.0)
        assert 10.0 < delivery.stall_limit < slow
        peer.close()


@pytest.mark.parametrize(
    ("pace", "least", "most"),
    [
        (100, SMALLEST_QUEUE, SMALLEST_QUEUE),
        (20_000, 16_384, 40_000),
        (10**7, 65_536, LARGEST_QUEUE),
    ],
)
async def test_the_kernels_queue_holds_about_a_second(pace: int, least: int, most: int) -> None:
    async with pair() as (transport, _peer):
        delivery = Delivery(transport, 10.0)
        delivery.sound(pace, 1.0)
        found = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT
        )
    assert least <= found <= most


async def test_an_answer_proves_what_was_read() -> None:
    async with pair() as (transport, _peer):
        delivery, now = Delivery(transport, 10.0), asyncio.get_running_loop().time()
        delivery.sound(1000, 5.0)
        asked = delivery.read_until
        assert asked == pytest.approx(now + 5.0 / SLOWEST_READER, abs=0.5)
        delivery.sound(1000, 1.0)
        delivery.answered(asked)
        assert delivery.read_until == pytest.approx(now + 1.0 / SLOWEST_READER, abs=0.5)


async def test_a_transport_without_a_socket_tells_what_it_holds() -> None:
    class Buffer:
        size = 7

        def get_extra_info(self, name: str) -> None:
            return None

        def get_write_buffer_size(self) -> int:
            return self.size

    buffer = Buffer()
    gauge = Gauge(cast(asyncio.Transport, buffer))
    before = gauge.read()
    buffer.size = 3
    assert (before.unsent, gauge.read().unsent) == (7, 3)
    assert before.taken < gauge.read().taken


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_delivery_may_outlive_its_connection(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def outlive() -> None:
        async with pair() as (transport, peer):
            delivery = Delivery(transport, 10.0)
            transport.abort()
            assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""
            assert delivery.look() is None
            delivery.sound(10**7, 1.0)  # adapts the kernel's queue
            await delivery.taken()
            delivery.end()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(outlive())


async def test_a_shutdown_waits_for_answers_and_connections() -> None:
    deliveries = Deliveries(60.0)
    async with pair() as (transport, peer), pair() as (other, _):
        connection = deliveries.connect(transport)
        transport.write(BIG)
        with deliveries.answer(other):
            waiting = asyncio.ensure_future(deliveries.all_taken())
            await read(peer, len(BIG))
            assert not waiting.done()
        await asyncio.wait_for(waiting, 10)
        deliveries.disconnect(connection)
        await asyncio.wait_for(deliveries.all_taken(), 10)
