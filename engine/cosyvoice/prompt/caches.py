"""Prompts that were computed before: of reference clips, in memory and on disk, and on the device.

TranscribedClip -> VoicePromptCache (VoicePrompt) -> FlowPromptCache (FlowPrompt, on the device)
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from ...files import sweep_temporary, write_file
from ...interface import TranscribedClip
from ...single_flight import SingleFlight
from ..flow import FlowPrompt
from .voice import VoicePrompt


@dataclass(eq=False, slots=True)
class _PromptInUse:
    prompt: FlowPrompt
    users: int = 0


@dataclass(slots=True)
class FlowPromptCounts:
    hits: int = 0
    misses: int = 0


class FlowPromptCache:
    """Prompts on the device: one per voice, shared by its sessions. For one event loop.

    A prompt in use stays; idle ones take at most `limit` bytes, and the one idle for longest goes first.

    make: computes a prompt on the device.
    token_bytes: size of one token of a prompt, for `needed`.
    """

    def __init__(
        self,
        make: Callable[[VoicePrompt], Awaitable[FlowPrompt]],
        *,
        limit: int,
        token_bytes: int,
    ) -> None:
        self.counts = FlowPromptCounts()
        self._make = make
        self._token_bytes = token_bytes
        self._in_use: dict[str, _PromptInUse] = {}
        self._idle: LRUCache[str, FlowPrompt] = LRUCache(limit, lambda prompt: prompt.nbytes)
        self._making: SingleFlight[str, FlowPrompt] = SingleFlight()
        self._expected: dict[str, int] = {}
        """Bytes of the prompts that are being computed."""

    @property
    def nbytes(self) -> int:
        """Bytes of all prompts, those that are being computed included."""
        in_use = sum(entry.prompt.nbytes for entry in self._in_use.values())
        return in_use + self._idle_bytes + sum(self._expected.values())

    def needed(self, voice: VoicePrompt) -> int:
        """Bytes that a session of this voice will add."""
        key = voice.content_id
        known = key in self._in_use or key in self._idle or key in self._making
        return 0 if known else self._estimate(voice)

    async def acquire(self, voice: VoicePrompt) -> FlowPrompt:
        """The voice's prompt, for one user, who must `release` it. Cancel-safe. Raises what `make` raises."""
        key = voice.content_id
        if key in self._in_use or key in self._idle:
            self.counts.hits += 1
            return self._use(key, self._idle.pop(key, None))
        prompt = await self._making.run(key, partial(self._compute, voice))
        return self._use(key, self._idle.pop(key, prompt))

    def release(self, voice: VoicePrompt) -> None:
        entry = self._in_use.get(voice.content_id)
        if entry is None:
            return
        entry.users -= 1
        if not entry.users:
            del self._in_use[voice.content_id]
            self._keep_idle(voice.content_id, entry.prompt)

    async def warm(self, voice: VoicePrompt) -> None:
        """Compute the voice's prompt before anybody needs it."""
        await self.acquire(voice)
        self.release(voice)

    def make_room(self, nbytes: int) -> None:
        """Free this many bytes of idle prompts, or all of them."""
        kept = self._idle_bytes - nbytes
        while self._idle and self._idle_bytes > kept:
            self._idle.popitem()

    def clear(self) -> None:
        self._in_use.clear()
        self._idle.clear()

    @property
    def _idle_bytes(self) -> int:
        return int(self._idle.currsize)

    def _use(self, key: str, prompt: FlowPrompt | None) -> FlowPrompt:
        """One more user. prompt: needed where nobody uses it yet."""
        entry = self._in_use.get(key)
        if entry is None:
            assert prompt is not None
            entry = self._in_use[key] = _PromptInUse(prompt)
        entry.users += 1
        return entry.prompt

    async def _compute(self, voice: VoicePrompt) -> FlowPrompt:
        key = voice.content_id
        self.counts.misses += 1
        self._expected[key] = self._estimate(voice)
        try:
            prompt = await self._make(voice)
        finally:
            del self._expected[key]
        self._keep_idle(key, prompt)  # until those who wait take it, if they have not left
        return prompt

    def _keep_idle(self, key: str, prompt: FlowPrompt) -> None:
        with suppress(ValueError):  # larger than the limit
            self._idle[key] = prompt

    def _estimate(self, voice: VoicePrompt) -> int:
        return self._token_bytes * int(voice.speech_tokens.shape[0])


_SUFFIX: Final = ".safetensors"


@dataclass(slots=True)
class VoicePromptCounts:
    """Counts since the start. failed_writes: voices that could not be kept on disk."""

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    corrupt: int = 0
    failed_writes: int = 0


class VoicePromptCache:
    """Prepares each voice once, however many ask for it at a time.

    To be used from one event loop; all heavy work is done in threads.

    prepare: VoicePreparer.prepare or the like.
    model: names the models that voices depend on (Checkpoint.voice_fingerprint); others' are not seen.
    memory_bytes: how much is held in memory; the voices used last stay.
    folder: where voices outlive the process; None keeps none.
    disk_bytes: the most that may hold, other models' voices included; None for no limit.
    """

    def __init__(
        self,
        prepare: Callable[[TranscribedClip], VoicePrompt],
        *,
        model: str,
        memory_bytes: int,
        folder: Path | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        self._prepare = prepare
        self._disk = None if folder is None else _Disk(folder / model, disk_bytes)
        self._held: LRUCache[str, VoicePrompt] = LRUCache(memory_bytes, lambda voice: voice.nbytes)
        self._making: SingleFlight[str, VoicePrompt] = SingleFlight()
        self.counts = VoicePromptCounts()

    @property
    def nbytes(self) -> int:
        """Bytes held in memory now."""
        return int(self._held.currsize)

    async def get(self, reference: TranscribedClip) -> VoicePrompt:
        """The voice of a clip. Cancelling one caller does not stop the work for others.

        Raises what `prepare` raises; a failure is not remembered.
        """
        voice = self.held(reference.content_id)
        if voice is not None:
            return voice
        return await self._making.run(reference.content_id, partial(self._make, reference))

    def held(self, content_id: str) -> VoicePrompt | None:
        """The voice if it is in memory."""
        voice = self._held.get(content_id)
        if voice is not None:
            self.counts.memory_hits += 1
        return voice

    async def close(self) -> None:
        """Wait until nothing is being prepared."""
        await self._making.settled()

    async def _make(self, reference: TranscribedClip) -> VoicePrompt:
        voice = await self._read(reference.content_id)
        if voice is None:
            self.counts.misses += 1
            voice = await asyncio.to_thread(self._prepare, reference)
            await self._write(voice)
        with suppress(ValueError):  # larger than the limit
            self._held[reference.content_id] = voice
        return voice

    async def _read(self, content_id: str) -> VoicePrompt | None:
        """The voice if it is on disk."""
        if self._disk is None:
            return None
        try:
            found = await asyncio.to_thread(self._disk.read, content_id)
        except ValueError:
            self.counts.corrupt += 1
            return None
        if found is not None:
            self.counts.disk_hits += 1
        return found

    async def _write(self, voice: VoicePrompt) -> None:
        if self._disk is None:
            return
        try:
            await asyncio.to_thread(self._disk.write, voice)
        except OSError:  # a full disk must not cost the session its voice
            self.counts.failed_writes += 1


class _Disk:
    """One file per voice. Several processes may share the folder: files appear whole or not at all."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = limit
        with suppress(OSError):  # the folder appears with the first voice
            sweep_temporary(folder, time.time())

    def read(self, content_id: str) -> VoicePrompt | None:
        """None if there is none or it cannot be reached.

        Raises ValueError, with the file gone, if it is damaged.
        """
        path = self._path(content_id)
        try:
            voice = VoicePrompt.load(path)
            if voice.content_id != content_id:
                raise ValueError(f"{path} is another voice")
        except OSError:
            return None
        except ValueError:
            with suppress(OSError):
                path.unlink()
            raise
        with suppress(OSError):
            os.utime(path)
        return voice

    def write(self, voice: VoicePrompt) -> None:
        """Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._path(voice.content_id), voice.to_bytes())
        if self._limit is not None:
            self._shrink(self._limit)

    def _shrink(self, limit: int) -> None:
        """Remove the files used longest ago, whichever model they were made with."""
        entries = []
        for path in self._folder.parent.glob(f"*/*{_SUFFIX}"):
            with suppress(OSError):
                about = path.stat()
                entries.append((about.st_mtime_ns, about.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, content_id: str) -> Path:
        # Hashed: an id is not ours to trust as a file name.
        return self._folder / (hashlib.sha256(content_id.encode()).hexdigest() + _SUFFIX)
