"""Sockets for a host and a port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cosyserve.server.port.listening import Listening, Setting, listen

V6 = socket.has_ipv6 and socket.has_dualstack_ipv6()
needs_ipv6 = pytest.mark.skipif(not V6, reason="this machine has no IPv6")


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[Listening]:
    with closing(listen(host, port)) as found:
        yield found


def reaches(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "reached", "url"),
    [
        ("127.0.0.1", ("127.0.0.1",), "http://127.0.0.1:{}"),
        pytest.param("::1", ("::1",), "http://[::1]:{}", marks=needs_ipv6),
        pytest.param("::", ("127.0.0.1", "::1"), "http://127.0.0.1:{}", marks=needs_ipv6),
        pytest.param("0::0", ("127.0.0.1", "::1"), "http://127.0.0.1:{}", marks=needs_ipv6),
        ("0.0.0.0", ("127.0.0.1",), "http://127.0.0.1:{}"),
        pytest.param("localhost", ("127.0.0.1", "::1"), "http://localhost:{}", marks=needs_ipv6),
        pytest.param("LocalHost.", ("127.0.0.1", "::1"), "http://LocalHost.:{}", marks=needs_ipv6),
    ],
)
def test_a_host_is_listened_on_and_told(host: str, reached: tuple[str, ...], url: str) -> None:
    with listening(host) as found:
        assert [each for each in ("127.0.0.1", "::1") if reaches(each, found.port)] == [*reached]
        assert found.url("http") == url.format(found.port)
        assert {each.getsockname()[1] for each in found.sockets} == {found.port}


@pytest.mark.parametrize(
    ("host", "everywhere"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        pytest.param("::", True, marks=needs_ipv6),
    ],
)
def test_every_address_is_told_beside_one_that_can_be_used(host: str, everywhere: bool) -> None:
    with listening(host) as found:
        assert found.everywhere is everywhere
        written = f"[{host}]" if ":" in host else host
        assert found.bound_url("https") == f"https://{written}:{found.port}"


@pytest.fixture
def no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def only_ipv4(family: int = socket.AF_INET, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(socket, "socket", only_ipv4)


@pytest.mark.parametrize(("host", "warned"), [("::", True), ("localhost", False)])
def test_without_ipv6_both_families_are_the_one_there_is(
    no_ipv6: None, capsys: pytest.CaptureFixture[str], host: str, warned: bool
) -> None:
    with listening(host) as found:
        assert [each.family for each in found.sockets] == [socket.AF_INET]
        assert reaches("127.0.0.1", found.port)
    told = "host: :: is served over IPv4 only: this machine has no IPv6"
    assert capsys.readouterr().out.count(told) == warned


@pytest.mark.parametrize("host", ["::1", "2001:db8::1"])
def test_without_ipv6_an_ipv6_address_is_told(no_ipv6: None, host: str) -> None:
    told = f"^host: {host} is an IPv6 address, and this machine has no IPv6; allowed: an IPv4"
    with pytest.raises(OSError, match=told):
        listen(host, 0)


@needs_ipv6
def test_an_ipv6_address_of_another_machine_is_told_as_such() -> None:
    with pytest.raises(OSError, match=r"^host: 2001:db8::1 is not an address of this machine; "):
        listen("2001:db8::1", 0)


def test_a_port_that_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(OSError, match=r"^port: 80 at 127.0.0.1 is not permitted to this user; all"):
        listen("127.0.0.1", 80)


@needs_ipv6
def test_a_name_may_stand_for_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),  # none of this machine's
    ]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: given if host == "name" else real(host, *a, **k),
    )
    with listening("name") as found:
        assert len(found.sockets) == 2
        assert reaches("::1", found.port)
        assert reaches("127.0.0.1", found.port)


@needs_ipv6
def test_a_free_port_is_free_at_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first port that is free at one address is taken at the other."""
    real = socket.socket
    taken: list[socket.socket] = []

    class Busy(real):
        def bind(self, address: tuple[str, int]) -> None:
            if self.family == socket.AF_INET6 and not taken:
                other = real(socket.AF_INET6)
                taken.append(other)
                other.bind(("::1", address[1]))
                other.listen()
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Busy)
    try:
        with listening("localhost") as found:
            assert found.port != taken[0].getsockname()[1]
            assert len(found.sockets) == 2
    finally:
        for each in taken:
            each.close()


def test_a_port_that_is_taken_is_told_with_what_is_allowed() -> None:
    with listening("127.0.0.1") as found:
        with pytest.raises(OSError, match=f"^port: {found.port} at 127.0.0.1 is in use; allowed: "):
            listen("127.0.0.1", found.port)
        setting = Setting("metrics_address", "metrics_address")
        with pytest.raises(
            OSError, match=rf"^metrics_address: 127.0.0.1:{found.port} is in use; allowed"
        ):
            listen("127.0.0.1", found.port, setting=setting)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.1", "host: 192.0.2.1 is not an address of this machine; allowed: "),
        ("no-such-host.invalid", "host: no-such-host.invalid cannot be resolved .*; allowed: "),
        ("x" * 300, "host: x+ cannot be resolved .*; allowed: "),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_told(host: str, told: str) -> None:
    with pytest.raises(OSError, match=f"^{told}"):
        listen(host, 0)
