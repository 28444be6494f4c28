"""Voices that were prepared before, in memory and on disk.

Voices' prompts on the device: computed once per voice, shared by its sessions, least used first out.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...interface import TranscribedClip
from ..flow import FlowPrompt
from .voice import VoicePrompt


@dataclass(eq=False, slots=True)
class _CacheEntry:
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
        self._entries: OrderedDict[str, _CacheEntry] = OrderedDict()
        self._making: dict[str, asyncio.Task[_CacheEntry]] = {}
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

    async def _computed(self, voice: VoicePrompt) -> _CacheEntry:
        key = voice.content_id
        making = self._making.get(key)
        if making is None:
            self.counts.misses += 1
            making = asyncio.create_task(self._enter(voice))
            self._making[key] = making
            self._expected[key] = self._estimate(voice)
        return await asyncio.shield(making)

    async def _enter(self, voice: VoicePrompt) -> _CacheEntry:
        key = voice.content_id
        try:
            entry = _CacheEntry(await self._make(voice))
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


_SUFFIX: Final = ".safetensors"
_FEATURES: Final = b"features 1"
"""Changes whenever the same clip and models would give another voice."""
_READ_SIZE: Final = 1 << 20


def fingerprint(files: Iterable[Path]) -> str:
    """A digest of the files that a voice depends on: ONNX models and tokenizer. Raises OSError."""
    digest = hashlib.blake2b(_FEATURES, digest_size=16)
    for path in files:
        digest.update(b"\0" + path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(_READ_SIZE):
                digest.update(block)
    return digest.hexdigest()


@dataclass(slots=True)
class VoiceCacheStats:
    """Counts since the start. failed_writes: voices that could not be kept on disk."""

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    corrupt: int = 0
    failed_writes: int = 0


class VoiceCache:
    """Prepares each voice once, however many ask for it at a time.

    To be used from one event loop; all heavy work is done in threads.

    prepare: VoicePreparer.prepare or the like.
    model: a `fingerprint`; voices of other models are not seen.
    memory_bytes: how much is held in memory; the voices used last stay.
    folder: where voices outlive the process; None keeps none.
    disk_bytes: the most that may hold for this model, None for no limit.
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
        self._model = model
        self._memory_bytes = memory_bytes
        self._disk = None if folder is None else _Disk(folder / model, disk_bytes)
        self._held: OrderedDict[str, VoicePrompt] = OrderedDict()
        self._bytes = 0
        self._making: dict[str, asyncio.Task[VoicePrompt]] = {}
        self.stats = VoiceCacheStats()

    @property
    def nbytes(self) -> int:
        """What is held in memory now."""
        return self._bytes

    async def get(self, reference: TranscribedClip) -> VoicePrompt:
        """The voice of a clip. Cancelling one caller does not stop the work for others.

        Raises what `prepare` raises; a failure is not remembered.
        """
        key = reference.content_id
        voice = self.held(key)
        if voice is not None:
            return voice
        making = self._making.get(key)
        if making is None:
            making = asyncio.create_task(self._make(reference))
            self._making[key] = making
            making.add_done_callback(lambda task: self._made(key, task))
        return await asyncio.shield(making)

    def held(self, content_id: str) -> VoicePrompt | None:
        """The voice if it is in memory."""
        voice = self._held.get(content_id)
        if voice is not None:
            self._held.move_to_end(content_id)
            self.stats.memory_hits += 1
        return voice

    async def close(self) -> None:
        """Wait until nothing is being prepared."""
        while self._making:
            await asyncio.wait(list(self._making.values()))

    def _made(self, key: str, task: asyncio.Task[VoicePrompt]) -> None:
        del self._making[key]
        # Whoever still waits gets the error; it must not be reported as lost if nobody does.
        if not task.cancelled() and task.exception() is None:
            self._hold(key, task.result())

    async def _make(self, reference: TranscribedClip) -> VoicePrompt:
        if self._disk is not None:
            try:
                found = await asyncio.to_thread(self._disk.read, reference.content_id)
            except ValueError:
                self.stats.corrupt += 1
                found = None
            if found is not None:
                self.stats.disk_hits += 1
                return found
        self.stats.misses += 1
        voice = await asyncio.to_thread(self._prepare, reference)
        if self._disk is not None:
            try:
                await asyncio.to_thread(self._disk.write, voice)
            except OSError:  # a full disk must not cost the session its voice
                self.stats.failed_writes += 1
        return voice

    def _hold(self, key: str, voice: VoicePrompt) -> None:
        if voice.nbytes > self._memory_bytes:
            return
        self._held[key] = voice
        self._bytes += voice.nbytes
        while self._bytes > self._memory_bytes:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.nbytes


class _Disk:
    """One file per voice. Several processes may share the folder: files appear whole or not at all."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = limit

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
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(voice.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path(voice.content_id))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if self._limit is not None:
            self._shrink(self._limit)

    def _shrink(self, limit: int) -> None:
        """Remove the files used longest ago."""
        entries = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
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
