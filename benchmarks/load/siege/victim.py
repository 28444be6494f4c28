"""Another client of the attacked server: how long it waits for its first sound, and what it is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from cosyserve.clients import Client, ClientError, RequestFailed, SpeechFailed

PAUSE: Final = 0.05
"""Seconds between a task's end and the next one's begin."""
PATIENCE: Final = 10.0
"""Seconds for a whole task."""


@dataclass(slots=True)
class Victim:
    """waits: seconds from the attempt to connect to the first sound. failed: other tasks, by reason."""

    url: str
    token: str = field(repr=False)
    voice: str
    waits: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    async def speak(self) -> None:
        """One task, on a connection of its own."""
        began = perf_counter()
        try:
            async with (
                asyncio.timeout(PATIENCE),
                Client(self.url, token=self.token, timeout=PATIENCE) as client,
                client.speech(voice=self.voice) as speech,
            ):
                await speech.feed("A text.")
                await speech.finish()
                arrivals = [chunk.received_at async for chunk in speech]
            self.waits.append(arrivals[0] - began)
        except (SpeechFailed, RequestFailed) as error:
            self.failed[error.code] += 1
        except ClientError as error:
            self.failed[type(error).__name__] += 1
        except TimeoutError:
            self.failed["took too long"] += 1

    async def speak_until(self, over: asyncio.Event) -> None:
        """Task after task; at least one, and one after `over`."""
        while not over.is_set():
            await self.speak()
            await asyncio.sleep(PAUSE)
        await self.speak()
