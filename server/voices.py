"""From a reference id to a voice the engine can speak in."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine

from cosyserve.engine.base import Engine, Reference, Voice

from .references.base import ReferenceStore, StoredReference
from .uploads import Clip, ClipLimits, decode_clip

CACHED_VOICES = 1024

_Preparation = Coroutine[None, None, Voice]


class VoiceBook:
    """Resolves ids to voices: the engine's own first, then the caller's references.

    Voices are kept by the content of their clip, least recently used first out; two tasks that ask for
    the same clip at once prepare it once.
    """

    def __init__(self, engine: Engine, store: ReferenceStore, limits: ClipLimits) -> None:
        self._engine = engine
        self._store = store
        self._limits = limits
        self._voices: OrderedDict[str, Voice] = OrderedDict()
        self._preparing: dict[str, asyncio.Task[Voice]] = {}

    async def resolve(self, owner: str | None, reference_id: str) -> Voice:
        """The voice of a built-in name or of a reference of this owner (None: of anybody).

        Raises ReferenceAudioNotFound, InvalidReference, EngineNotReady.
        """
        if builtin := self._engine.builtin_voice(reference_id):
            return builtin
        stored = await self._store.get(owner, reference_id)
        if known := self._known(stored.content_id):
            return known
        return await self._once(stored.content_id, self._load(owner, stored))

    async def learn(self, content_id: str, clip: Clip, text: str) -> Voice:
        """Prepare the voice of a clip that was just decoded. Raises as `resolve` does."""
        if known := self._known(content_id):
            return known
        return await self._once(content_id, self._prepare(content_id, clip, text))

    def _known(self, content_id: str) -> Voice | None:
        voice = self._voices.get(content_id)
        if voice is not None:
            self._voices.move_to_end(content_id)
        return voice

    async def _once(self, content_id: str, prepare: _Preparation) -> Voice:
        running = self._preparing.get(content_id)
        if running is None:
            running = asyncio.create_task(prepare)
            self._preparing[content_id] = running
            running.add_done_callback(lambda task: self._prepared(content_id, task))
        else:
            prepare.close()
        # Shielded: the others that wait for the same voice must not lose it when one gives up.
        return await asyncio.shield(running)

    def _prepared(self, content_id: str, task: asyncio.Task[Voice]) -> None:
        del self._preparing[content_id]
        if task.cancelled() or task.exception() is not None:
            return
        self._voices[content_id] = task.result()
        if len(self._voices) > CACHED_VOICES:
            self._voices.popitem(last=False)

    async def _load(self, owner: str | None, stored: StoredReference) -> Voice:
        data = await self._store.read(owner, stored.id)
        clip = await asyncio.to_thread(decode_clip, data, stored.pcm_rate, self._limits)
        return await self._prepare(stored.content_id, clip, stored.text)

    async def _prepare(self, content_id: str, clip: Clip, text: str) -> Voice:
        reference = Reference(content_id, clip.samples, clip.sample_rate, text)
        return await self._engine.prepare_voice(reference)
