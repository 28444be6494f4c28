"""Places for sockets: how many, and who loses one."""

from __future__ import annotations

import asyncio

import structlog

from cosyserve.server.port.sockets import Sockets


class Client:
    """One socket's protocol, and whether it was cut off."""

    def __init__(self, sockets: Sockets) -> None:
        self.protocol = asyncio.BaseProtocol()
        self.cut = False
        self.accepted = sockets.accept(self.protocol, self._abort)

    def _abort(self) -> None:
        self.cut = True


def test_the_oldest_stranger_makes_room() -> None:
    sockets = Sockets(2)
    clients = [Client(sockets) for _ in range(4)]
    assert [client.accepted for client in clients] == [True] * 4
    assert [client.cut for client in clients] == [True, True, False, False]
    assert len(sockets) == 2


def test_who_is_known_keeps_the_place() -> None:
    sockets = Sockets(2)
    known, stranger = Client(sockets), Client(sockets)
    sockets.know(known.protocol)
    latest = Client(sockets)
    assert (known.cut, stranger.cut, latest.accepted) == (False, True, True)
    sockets.know(latest.protocol)
    assert not Client(sockets).accepted
    sockets.leave(known.protocol)
    assert Client(sockets).accepted


def test_a_place_is_given_back_once_and_nobody_unknown_becomes_known() -> None:
    sockets = Sockets(2)
    first, second, third = Client(sockets), Client(sockets), Client(sockets)
    sockets.leave(first.protocol)  # it was cut off, and its loss comes later
    sockets.know(first.protocol)
    assert len(sockets) == 2
    for client in (second, third, third):
        sockets.leave(client.protocol)
    assert len(sockets) == 0


def test_a_flood_is_told_once() -> None:
    sockets = Sockets(2)
    with structlog.testing.capture_logs() as logs:
        clients = [Client(sockets) for _ in range(9)]
        for client in clients:
            sockets.leave(client.protocol)
        clients = [Client(sockets) for _ in range(9)]
    assert [entry["event"] for entry in logs] == ["sockets_full"] * 2
