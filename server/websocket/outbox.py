"""The one guarded write path of a connection, and that of a WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from cosyserve.protocol.codec import Frame

from ..delivery.patient import PatientConnection


class FrameWriter(Protocol):
    """Writes frames with back-pressure. A reader that stalls is cut off: see Delivery."""

    async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        """Write these frames, then wait until the kernel has them. seconds: how long their sound plays.

        Raises ConnectionClosed once nothing can be sent any more, also where the reader stalled. A cancelled
        call has written all frames or none: they go to the transport before the first wait.
        """


class Outbox:
    """The FrameWriter of a WebSocket."""

    def __init__(self, socket: PatientConnection) -> None:
        self._socket = socket

    async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        """Write these frames, each with its attachment right behind it, as FrameWriter says."""
        parts: list[tuple[bytes, bool]] = []
        for frame in frames:
            if frame.text:
                parts.append((frame.text, True))
            if frame.attachment is not None:
                parts.append((frame.attachment, False))
        if not parts:
            return
        socket = self._socket
        if socket.state is not State.OPEN:  # the library would wait for the end of the handshake
            raise ConnectionClosed(None, None)
        socket.delivery.sound(sum(len(data) for data, _ in parts), seconds)
        with socket.delivery.awaited():
            for data, text in parts[:-1]:
                broadcast((socket,), data, text=text)
            data, text = parts[-1]
            await socket.send(data, text=text)
        if socket.delivery.lost:  # the library takes an abort during the wait for a success
            raise ConnectionClosed(None, None)
