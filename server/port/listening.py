"""Where the server listens: sockets for a host and a port, and the URLs of the server.

A host may have several addresses: `::` those of both IP families, `localhost` both loopbacks, a name all
that it resolves to. They share one port.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import structlog
from websockets.asyncio.server import Server, ServerConnection

from ..settings.values import is_localhost

log = structlog.get_logger(__name__)

BACKLOG: Final = 1024
_ATTEMPTS: Final = 16
"""Attempts to find a port that is free at every address, if any port will do."""
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_V4, _V6 = socket.AF_INET, socket.AF_INET6
_LOOPBACKS: Final = ("127.0.0.1", "::1")
_IPV4_ONLY: Final = (
    "{setting}: {host} is served over IPv4 only: this machine has no IPv6; 0.0.0.0 is the same"
)


class Setting(NamedTuple):
    """The names of the settings for host and port, for messages."""

    host: str = "host"
    port: str = "port"


class _Candidate(NamedTuple):
    """An address to listen on. both: whether an IPv6 socket accepts IPv4 as well."""

    family: socket.AddressFamily
    address: tuple[Any, ...]
    both: bool = False

    @property
    def everywhere(self) -> bool:
        return ip_address(_bare(str(self.address[0]))).is_unspecified


@dataclass(frozen=True, slots=True)
class Listening:
    """Listening sockets, all on the same port. host: as in the settings."""

    host: str
    sockets: tuple[socket.socket, ...]

    @property
    def port(self) -> int:
        port: int = self.sockets[0].getsockname()[1]
        return port

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every address of this machine."""
        return ip_address(_bare(self.sockets[0].getsockname()[0])).is_unspecified

    def url(self, scheme: str) -> str:
        """A URL that works for a client on this machine."""
        return f"{scheme}://{_in_url(_LOOPBACKS[0] if self.everywhere else self.host)}:{self.port}"

    def bound_url(self, scheme: str) -> str:
        """The URL with the host of the settings, which no client can use if it stands for every address."""
        return f"{scheme}://{_in_url(self.host)}:{self.port}"

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class Servers:
    """The WebSocket servers of all sockets, with the methods of websockets.Server that are needed."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers

    @property
    def connections(self) -> set[ServerConnection]:
        return {each for server in self._servers for each in server.connections}

    def close(self, code: int, reason: str) -> None:
        """Stop listening, and close every connection with this code and reason."""
        for server in self._servers:
            server.close(code=code, reason=reason)

    async def wait_closed(self) -> None:
        for server in self._servers:
            await server.wait_closed()


def listen(
    host: str, port: int, *, send_buffer: int | None = None, setting: Setting | None = None
) -> Listening:
    """Listen at all addresses of the host that this machine has. Blocks while it resolves a name.

    port: 0 chooses a free one. send_buffer: of accepted sockets, in bytes. setting: for messages.
    Raises OSError, whose message names the setting, its value and what is allowed.
    """
    setting = setting or Setting()
    candidates = [*_candidates(host, port, setting)]
    for attempt in range(_ATTEMPTS):
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        absent: list[_Candidate] = []
        try:
            for candidate in candidates:
                try:
                    sockets.append(_bound(candidate, sockets, send_buffer))
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    missing = error
                    absent.append(candidate)
            if missing is not None and not sockets:
                raise missing
            if any(each.everywhere for each in absent):
                log.warning("notice", notice=_IPV4_ONLY.format(setting=setting.host, host=host))
            return Listening(host, tuple(sockets))
        except OSError as error:
            for each in sockets:
                each.close()
            again = port == 0 and error.errno == errno.EADDRINUSE and attempt + 1 < _ATTEMPTS
            if not again:
                raise _explained(error, host, port, setting) from error
    raise AssertionError("the last attempt returns or raises")


def _candidates(host: str, port: int, setting: Setting) -> Iterator[_Candidate]:
    if is_localhost(host):
        yield _Candidate(_V4, (_LOOPBACKS[0], port))
        yield _Candidate(_V6, (_LOOPBACKS[1], port, 0, 0))
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{setting.host}: {host} cannot be resolved ({reason}); allowed: a name or an address of"
            " this machine"
        ) from error
    for family, _, _, _, address in dict.fromkeys(found):
        candidate = _Candidate(family, address)
        if family == _V6 and candidate.everywhere:
            both = socket.has_dualstack_ipv6()
            yield candidate._replace(both=both)
            if not both:
                yield _Candidate(_V4, ("0.0.0.0", port))
        elif family in (_V4, _V6):
            yield candidate


def _bound(
    candidate: _Candidate, before: list[socket.socket], send_buffer: int | None
) -> socket.socket:
    """A listening socket, on the same port as those before it. Raises OSError."""
    listening = socket.socket(candidate.family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if candidate.family == _V6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not candidate.both)
        # Accepted sockets inherit it; asyncio's event loop would leave Nagle's algorithm on.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port, *rest = candidate.address
        listening.bind((host, before[0].getsockname()[1] if before else port, *rest))
        if send_buffer is not None:
            # Accepted sockets inherit it. With a small buffer a stalled reader is noticed soon.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _explained(error: OSError, host: str, port: int, setting: Setting) -> OSError:
    one = setting.host == setting.port
    what = f"{setting.port}: {_in_url(host)}:{port}" if one else f"{setting.port}: {port} at {host}"
    free = "allowed: a free port, or 0 for any that is free"
    match error.errno:
        case errno.EADDRINUSE:
            message = f"{what} is in use; {free}"
        case errno.EACCES | errno.EPERM:
            message = f"{what} is not permitted to this user; allowed: usually ports from 1024 on"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT if ":" in host and not has_ipv6():
            message = (
                f"{setting.host}: {host} is an IPv6 address, and this machine has no IPv6; allowed: an"
                " IPv4 address, or a name that has one"
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            message = (
                f"{setting.host}: {host} is not an address of this machine; allowed: an address of it, or"
                " 0.0.0.0 or :: for all of them"
            )
        case _:
            message = f"{what} cannot be used: {error.strerror or error}; {free}"
    return OSError(message)


def has_ipv6() -> bool:
    """Whether this machine can listen at ::1."""
    try:
        with socket.socket(_V6, socket.SOCK_STREAM) as probe:
            probe.bind((_LOOPBACKS[1], 0))
    except OSError:
        return False
    return True


def _in_url(host: str) -> str:
    """RFC 3986, section 3.2.2, and RFC 6874 for a zone."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def _bare(address: str) -> str:
    """The address without its zone."""
    return address.partition("%")[0]
