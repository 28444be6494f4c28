"""A WebSocket connection of which every message is written down, in the order in which it is asked for."""

from __future__ import annotations

import re
from contextlib import suppress

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .sound import Sound, digest
from .transcript import Transcript, without_sound

Message = str | bytes


class Talk:
    """A client's end. `sound`: what the sound in its messages is collected in."""

    def __init__(
        self, socket: ClientConnection, transcript: Transcript, sound: Sound, name: str
    ) -> None:
        self.socket = socket
        self.sound = sound
        self._transcript = transcript
        self._name = name

    async def send(self, *frames: Message) -> None:
        """Text frames, and binary ones for bytes. What comes after the server has closed is lost."""
        for frame in frames:
            self._write(">", frame)
            with suppress(ConnectionClosed):
                await self.socket.send(frame)

    async def send_as_text(self, data: bytes) -> None:
        """A text frame of any bytes."""
        self._transcript.add(f"{self._name}>", f"text of the bytes {data.hex()}")
        await self.socket.send(data, text=True)

    async def read(self, count: int = 1) -> None:
        """The next messages."""
        for _ in range(count):
            self._write("<", await self._next())

    async def until(self, wanted: str) -> None:
        """The next messages, up to a text that has this in it."""
        while True:
            message = await self._next()
            self._write("<", message)
            if isinstance(message, str) and wanted in message:
                return

    async def apart(self, key: str, *names: str, last: str) -> None:
        """What is told of several tasks at once, one after the other: their order means nothing.

        key: the field that has their names. last: what is in the last message of each.
        """
        told: dict[str, list[Message]] = {name: [] for name in names}
        field = re.compile(f'"{key}":"([^"]*)"')
        open_tasks, of = set(names), ""
        while open_tasks:
            message = await self._next()
            if isinstance(message, str):
                found = field.search(message)
                assert found, f"it is of no task: {message[:200]}"
                of = found[1]
                if last in message:
                    open_tasks.discard(of)
            told[of].append(message)
        for name, messages in told.items():
            self._transcript.add("=", f"{key} {name}")
            for message in messages:
                self._write("<", message)

    async def closed(self) -> None:
        """The end of the connection, and what is sent before it."""
        try:
            while True:
                self._write("<", await self.socket.recv())
        except ConnectionClosed:
            self._write_close()

    def say_sound(self) -> None:
        """Say what all the sound since the last time was."""
        self._transcript.add("=", self.sound.told())

    async def _next(self) -> Message:
        try:
            return await self.socket.recv()
        except ConnectionClosed:
            self._write_close()
            raise

    def _write(self, mark: str, message: Message) -> None:
        if isinstance(message, str):
            text = without_sound(message, self.sound if mark == "<" else None)
        elif mark == "<":
            text = f"binary <{self.sound.take(message)}>"
        else:
            text = f"binary <{digest(message)}>"
        self._transcript.add(self._name + mark, text)

    def _write_close(self) -> None:
        code, reason = self.socket.close_code, self.socket.close_reason
        self._transcript.add(f"{self._name}<", f"close {code} {reason}")
