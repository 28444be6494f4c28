"""The state of a TCP connection that the kernel knows and asyncio does not."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final, NamedTuple

# Format and offset in struct tcp_info of Linux (include/uapi/linux/tcp.h), which only grows at its end.
_ACKNOWLEDGED: Final = (struct.Struct("=Q"), 120)  # tcpi_bytes_acked, since 4.1
_WINDOW: Final = (struct.Struct("=I"), 228)  # tcpi_snd_wnd, since 5.4
_TCP_INFO_BYTES: Final = 232

UNKNOWN_WINDOW: Final = 1 << 30

GONE: Final = (OSError, ValueError)
"""What calls on the socket of a lost connection raise: that of uvloop has a negative descriptor then."""


class SocketState(NamedTuple):
    """The state of a connection at one moment, in bytes.

    taken: a counter that changes whenever the peer takes bytes. unsent: written and not yet taken, as far
    as is known. window: the room that the peer offers.
    """

    taken: int
    unsent: int
    window: int


class Gauge:
    """Reads the state of a transport's connection.

    On Linux a byte counts as taken when the peer's kernel has acknowledged it. Elsewhere only the
    transport's buffer is visible, and a byte counts as taken when our kernel has it.
    """

    __slots__ = ("_socket", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        found: Any = transport.get_extra_info("socket")
        self._socket: Any = (
            found if _kernel_tells(found) else None
        )  # None: only the buffer is visible

    def read(self) -> SocketState:
        """Raises GONE if the connection is lost."""
        buffered = self._transport.get_write_buffer_size()
        if self._socket is None:
            return SocketState(-buffered, buffered, UNKNOWN_WINDOW)
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        taken = _field(info, *_ACKNOWLEDGED, 0)
        window = _field(info, *_WINDOW, UNKNOWN_WINDOW)
        return SocketState(taken, buffered + _unacknowledged(self._socket.fileno()), window)


def keep_unsent_below(connection: Any, size: int) -> None:
    """Have the kernel accept bytes only while it holds fewer than `size` bytes that it could not send yet.

    Bytes on their way do not count, so throughput is not limited. The kernel then announces room in steps
    of half the size, instead of a third of the send buffer. Accepted sockets inherit the limit. Kernels
    without such a limit are left as they are.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(*GONE):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def _kernel_tells(connection: Any) -> bool:
    if sys.platform != "linux" or connection is None:
        return False
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        _unacknowledged(connection.fileno())
    except GONE:  # lost, not TCP, or a kernel that only claims to be Linux
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
