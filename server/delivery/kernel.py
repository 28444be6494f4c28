"""What a kernel tells of a TCP connection and asyncio does not."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final, NamedTuple

# struct tcp_info of Linux (include/uapi/linux/tcp.h) only ever grows at its end.
_ACKNOWLEDGED: Final = (struct.Struct("=Q"), 120)  # tcpi_bytes_acked, since 4.1
_WINDOW: Final = (struct.Struct("=I"), 228)  # tcpi_snd_wnd, since 5.4
_TCP_INFO_BYTES: Final = 232

UNTOLD_WINDOW: Final = 1 << 30


class SocketState(NamedTuple):
    """One look at a connection, in bytes.

    taken: changes whenever the peer takes bytes. unsent: written and not taken, as far as can be known.
    window: the room that the peer offers.
    """

    taken: int
    unsent: int
    window: int


class Gauge:
    """Looks at the connection of a transport.

    On Linux a byte counts as taken once the peer's kernel has acknowledged it. Elsewhere the transport's
    own buffer is all that can be seen, and bytes count as taken once our kernel has them.
    """

    __slots__ = ("_socket", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        found: Any = transport.get_extra_info("socket")
        self._socket: Any = found if _told_by_kernel(found) else None

    def read(self) -> SocketState:
        """Raises OSError if the connection is gone."""
        buffered = self._transport.get_write_buffer_size()
        if self._socket is None:
            return SocketState(-buffered, buffered, UNTOLD_WINDOW)
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        taken = _field(info, *_ACKNOWLEDGED, 0)
        window = _field(info, *_WINDOW, UNTOLD_WINDOW)
        return SocketState(taken, buffered + _unacknowledged(self._socket.fileno()), window)


def keep_unsent_below(connection: Any, size: int) -> None:
    """Let the kernel take bytes only while it holds fewer than `size` that it could not send yet.

    What is on its way does not count, so that throughput is not limited; and room is told in steps of
    half the size, and not of a third of the whole send buffer. An accepted socket has its listener's size.
    A kernel that knows no such limit goes on as before.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def _told_by_kernel(connection: Any) -> bool:
    if sys.platform != "linux" or connection is None:
        return False
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        _unacknowledged(connection.fileno())
    except OSError:  # no TCP, or a kernel that only looks like Linux
        return False
    fields, offset = _ACKNOWLEDGED
    return len(info) >= offset + fields.size


def _field(info: bytes, field: struct.Struct, offset: int, otherwise: int) -> int:
    if len(info) < offset + field.size:
        return otherwise
    value: int = field.unpack_from(info, offset)[0]
    return value


def _unacknowledged(descriptor: int) -> int:
    """Bytes in the kernel's send queue that the peer has not acknowledged: SIOCOUTQ, see tcp(7)."""
    import fcntl
    import termios

    answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)
