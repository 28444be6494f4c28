"""Where an uploaded file becomes a reference: it is decoded, checked, made a voice, and stored."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

import structlog

from cosyserve.engine.interface import EngineNotReady
from cosyserve.engine.threads import Threads, uninterrupted
from cosyserve.protocol.errors import TooManyReferences

from .book import VoiceBook
from .clip import Clip, ClipLimits, ClipSettings, content_id, decode_clip
from .consent import Consent
from .store import Reference, ReferenceStore

log = structlog.get_logger(__name__)


class UploadDeskSettings(ClipSettings, Protocol):
    """The settings that the desk reads."""

    @property
    def upload_threads(self) -> int: ...
    @property
    def upload_memory(self) -> int: ...
    @property
    def max_references_per_token(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and what its owner says of it. text: the transcript. pcm_rate: as in `decode_clip`.

    name: as `VoiceBook.check_name` returns it, or "". seen_by: `VoiceBook.learn`'s owner. consent: as
    `parse_consent` returns it.
    """

    owner: str
    seen_by: str | None
    file: bytes
    filename: str
    text: str
    pcm_rate: int | None = None
    name: str = ""
    consent: Consent | None = None


class UploadDesk:
    """Works on a few uploads at a time, at most one of each owner; the others wait in order, undecoded.

    In all it works on as many as there are threads for it, or as the memory holds when each of them has the
    longest sound that is allowed: `upload_threads` and `upload_memory` say which. Whoever is cancelled keeps
    the place until the step under way is over, because a thread cannot be stopped.
    """

    def __init__(
        self, voices: VoiceBook, store: ReferenceStore, settings: UploadDeskSettings
    ) -> None:
        self._voices = voices
        self._store = store
        self._limits = ClipLimits.of(settings)
        self._most = settings.max_references_per_token
        fitting = settings.upload_memory // self._limits.decoded_bytes
        self.at_once = max(1, min(settings.upload_threads, fitting))
        """Uploads that are worked on at a time; one always is, however little memory is allowed."""
        self._threads = Threads("upload", self.at_once)
        self._places = asyncio.Semaphore(self.at_once)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by owner

    async def take(self, upload: Upload) -> Reference:
        """The stored reference; nothing is kept of a file that is refused.

        Raises what `decode_clip`, `VoiceBook.learn` and `ReferenceStore.put` do, and TooManyReferences.
        """
        async with self._turns[upload.owner], self._places:
            if await self._store.count(upload.owner) >= self._most:
                raise TooManyReferences(
                    f"at most {self._most} references for this token are allowed: delete one first"
                )
            clip, digest = await uninterrupted(self._threads.run(self._decode, upload))
            try:
                await uninterrupted(self._voices.learn(upload.seen_by, digest, clip, upload.text))
            except EngineNotReady:
                log.warning("voice_not_prepared", reason="the engine is not ready")
            stored = Reference(
                id=str(uuid.uuid4()),
                owner=upload.owner,
                filename=upload.filename,
                bytes=len(upload.file),
                created_at=int(time.time()),
                text=upload.text,
                content_id=digest,
                pcm_rate=upload.pcm_rate,
                name=upload.name,
                consent=upload.consent,
            )
            await uninterrupted(self._store.put(stored, upload.file))
            return stored

    def close(self) -> None:
        """End the threads, without waiting."""
        self._threads.close()

    def _decode(self, upload: Upload) -> tuple[Clip, str]:
        clip = decode_clip(upload.file, upload.pcm_rate, self._limits)
        return clip, content_id(clip, upload.text)
