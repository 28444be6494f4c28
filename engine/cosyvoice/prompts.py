"""Voices' prompts on the device: computed once per voice, shared by its sessions, least used first out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .flow import FlowPrompt
from .prompt.voice import VoicePrompt


@dataclass(eq=False, slots=True)
class _Entry:
    prompt: FlowPrompt
    users: int = 0


@dataclass(slots=True)
class PromptCounts:
    hits: int = 0
    misses: int = 0


class PromptCache:
    """For one event loop. A prompt in use stays; those that nobody uses take at most `limit` bytes.

    make: computes a prompt on the device.
    token_bytes: what a token of a prompt takes, for `needed`.
    """

    def __init__(
        self,
        make: Callable[[VoicePrompt], Awaitable[FlowPrompt]],
        *,
        limit: int,
        token_bytes: int,
    ) -> None:
        self.counts = PromptCounts()
        self._make = make
        self._limit = limit
        self._token_bytes = token_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._making: dict[str, asyncio.Task[_Entry]] = {}
        self._expected: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """What prompts take, those that are being computed included."""
        return sum(e.prompt.nbytes for e in self._entries.values()) + sum(self._expected.values())

    def needed(self, voice: VoicePrompt) -> int:
        """Bytes that a session of this voice will add."""
        known = voice.content_id in self._entries or voice.content_id in self._making
        return 0 if known else self._estimate(voice)

    async def acquire(self, voice: VoicePrompt) -> FlowPrompt:
        """The voice's prompt, for one user, who must `release` it. Cancel-safe. Raises what `make` raises."""
        key = voice.content_id
        entry = self._entries.get(key)
        if entry is None:
            entry = await self._computed(voice)
        else:
            self.counts.hits += 1
        # It may have been put out between its making and this user's turn.
        entry = self._entries.setdefault(key, entry)
        entry.users += 1
        self._entries.move_to_end(key)
        self._shrink(self._limit)
        return entry.prompt

    def release(self, voice: VoicePrompt) -> None:
        entry = self._entries.get(voice.content_id)
        if entry is not None:
            entry.users -= 1
            self._shrink(self._limit)

    async def warm(self, voice: VoicePrompt) -> None:
        """Have it computed, for whoever comes."""
        await self.acquire(voice)
        self.release(voice)

    def make_room(self, nbytes: int) -> None:
        """Free so many bytes of what nobody uses, as far as there are."""
        idle = sum(e.prompt.nbytes for e in self._entries.values() if not e.users)
        self._shrink(max(0, idle - nbytes))

    def clear(self) -> None:
        self._entries.clear()

    async def _computed(self, voice: VoicePrompt) -> _Entry:
        key = voice.content_id
        making = self._making.get(key)
        if making is None:
            self.counts.misses += 1
            making = asyncio.create_task(self._enter(voice))
            self._making[key] = making
            self._expected[key] = self._estimate(voice)
        return await asyncio.shield(making)

    async def _enter(self, voice: VoicePrompt) -> _Entry:
        key = voice.content_id
        try:
            entry = _Entry(await self._make(voice))
            self._entries[key] = entry
            return entry
        finally:
            del self._making[key]
            del self._expected[key]

    def _estimate(self, voice: VoicePrompt) -> int:
        return self._token_bytes * int(voice.speech_tokens.shape[0])

    def _shrink(self, limit: int) -> None:
        """Put out what nobody uses until that takes no more than `limit`."""
        idle = [(key, e.prompt.nbytes) for key, e in self._entries.items() if not e.users]
        total = sum(nbytes for _, nbytes in idle)
        for key, nbytes in idle:
            if total <= limit:
                return
            del self._entries[key]
            total -= nbytes
