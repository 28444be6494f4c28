"""Why a connection was not made, as a person is told."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cosyserve.clients import Client, ConnectionFailed
from cosyserve.server.port.listening import has_ipv6


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
async def test_a_name_of_both_families_where_nothing_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        hosts = ("::1", "127.0.0.1") if host in ("both.test", b"both.test") else (host,)
        return [found for each in hosts for found in known(each, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with Client(f"http://both.test:{port}") as client:
        for attempt in (client.connect, client.voices):
            with pytest.raises(ConnectionFailed, match=r"nothing listens there; .*cosyserve serve"):
                await attempt()
