"""Live playback through PortAudio, where the `sounddevice` package (extra `playback`) is there."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from .errors import ClientError


class PlaybackUnavailable(ClientError): ...


class Player:
    """Plays 16-bit mono PCM as it comes. Raises PlaybackUnavailable when made."""

    def __init__(self, sample_rate: int) -> None:
        try:
            sounddevice = importlib.import_module("sounddevice")
        except ImportError:
            raise PlaybackUnavailable(
                "to play the speech, install cosyserve[playback]; or write it with -o FILE"
            ) from None
        except OSError as error:
            raise PlaybackUnavailable(f"no playback: {error}; use -o FILE") from None
        try:
            self._stream: Any = sounddevice.RawOutputStream(
                samplerate=sample_rate, channels=1, dtype="int16"
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise PlaybackUnavailable(f"no playback: {error}; use -o FILE") from None
        self._odd = b""

    async def write(self, data: bytes) -> None:
        """Play, waiting for the device: the player sets the pace."""
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        if whole:
            await asyncio.to_thread(self._stream.write, data[:whole])

    async def close(self, *, aborted: bool) -> None:
        """Stop: after the last sound, or at once if `aborted`."""
        await asyncio.to_thread(self._stream.abort if aborted else self._stream.stop)
        self._stream.close()
