"""What the name of a voice becomes: from what a client says to the prompt that the engine speaks with.

A client says the id or the name of a voice of the engine's own, or of one of its owner's references.
It may also say a name of the hosted service that its API comes from; HostedVoices holds those names.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from cosyserve.engine.interface import Engine, Prompt, TranscribedClip
from cosyserve.engine.single_flight import SingleFlight
from cosyserve.protocol.errors import InvalidParameter, ReferenceAudioNotFound
from cosyserve.protocol.fields import refusal

from .clip import Clip, ClipLimits, decode_clip, prompt_id
from .record import is_id
from .store import ALLOWED, Reference, ReferenceStore, as_name


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as lists show it. Clients ask for it by id or by name.

    gender: of a voice of the engine's own, else "".
    """

    id: str
    name: str
    gender: str = ""

    @classmethod
    def of(cls, reference: Reference) -> Self:
        return cls(reference.id, reference.name or reference.filename or reference.id)


@dataclass(frozen=True, slots=True)
class HostedVoices:
    """The voice names of a hosted service, for clients that were written for it.

    names: all of them with the gender of each, or a pattern that they match. default: the id or name
    of the voice that they stand for; None for the engine's own voices. aliases: other names, and the id
    or name of the voice that each stands for. settings: the settings that change this, for messages.
    """

    names: Mapping[str, str] | re.Pattern[str]
    default: str | None
    aliases: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""

    @property
    def listed(self) -> Mapping[str, str]:
        """The names with their genders, where the service's names are known."""
        return {} if isinstance(self.names, re.Pattern) else self.names

    def matches(self, name: str) -> bool:
        """Whether the name looks like one of the service's, where only a pattern is known."""
        return isinstance(self.names, re.Pattern) and self.names.fullmatch(name) is not None


_NO_NAMES = HostedVoices({}, None)


class VoiceBook:
    """The voices of one server: of the engine's own and of stored references.

    The engine caches prompts by owner and content of their clips (`prompt_id`). Here two tasks that ask
    for the same clip at once have it read and prepared once.
    """

    def __init__(self, engine: Engine, store: ReferenceStore, limits: ClipLimits) -> None:
        self._engine = engine
        self._store = store
        self._limits = limits
        self._preparing = SingleFlight[str, Prompt]()  # by prompt_id

    async def resolve(
        self, owner: str | None, wanted: str, hosted: HostedVoices | None = None
    ) -> Prompt:
        """The prompt of the voice that a client calls `wanted`, by id or name.

        It is the first of these that exists:

        1. what an alias stands for;
        2. a voice of the engine's own; case does not matter;
        3. what a listed name of the hosted service stands for: the default voice, else a voice of the
           engine's own of the same gender;
        4. a reference of this owner (None: of anybody); of several with the same name, the newest;
        5. what a name that matches the hosted service's pattern stands for: the default voice, else a
           voice of the engine's own, always the same for the same name.

        Raises ReferenceAudioNotFound, InvalidReference, EngineNotReady.
        """
        hosted = hosted or _NO_NAMES
        meant = self._stands_for(wanted, hosted)
        if meant is None and wanted in hosted.listed and not self._built_in(wanted):
            raise ReferenceAudioNotFound(
                f"voice: {wanted!r} stands for no voice: this engine has none of its own; allowed: the "
                f"id or name of an uploaded reference audio. The server's settings {hosted.settings} "
                "say what such names stand for"
            )
        try:
            return await self._find(owner, meant or wanted)
        except ReferenceAudioNotFound:
            if not hosted.matches(wanted):
                raise
            if hosted.default is not None:
                return await self._find(owner, hosted.default)
            if stand_in := self._any_built_in(wanted):
                return stand_in
            raise

    async def knows(self, owner: str | None, wanted: str) -> bool:
        """Whether `resolve` finds a voice of this id or name. Raises what the store raises."""
        if self._built_in(wanted):
            return True
        try:
            await self._stored(owner, wanted)
        except ReferenceAudioNotFound:
            return False
        return True

    def built_in(self, hosted: HostedVoices = _NO_NAMES) -> list[Voice]:
        """The engine's own voices, then the aliases and listed names that stand for a voice."""
        own = [Voice(v.id, v.name, v.gender) for v in self._engine.capabilities.voices]
        ids = {voice.id for voice in own}
        names = dict.fromkeys((*hosted.listed, *hosted.aliases))
        standing = [name for name in names if self._stands_for(name, hosted) and name not in ids]
        return own + [Voice(name, name) for name in standing]

    async def cloned(self, owner: str | None, limit: int) -> list[Voice]:
        """The voices of this owner's references (None: of anybody's), newest first."""
        return [Voice.of(each) for each in await self._store.list(owner, limit, "desc")]

    async def learn(self, owner: str | None, content_id: str, clip: Clip, text: str) -> Prompt:
        """Prepare the voice of an owner's clip that was just decoded. Raises as `resolve` does."""
        key = prompt_id(owner, content_id)
        if known := self._engine.cached_prompt(key):
            return known
        return await self._preparing.run(key, partial(self._prepare, key, clip, text))

    def check_name(self, text: str) -> str:
        """The name in the form in which a reference keeps it. Raises InvalidParameter."""
        name = as_name(text)
        if name is None:
            raise refusal("name", text, ALLOWED)
        if self._built_in(name):
            raise InvalidParameter(
                f"name: {name!r} is a built-in voice here; allowed: any other name"
            )
        return name

    # From a name to a voice

    def _stands_for(self, name: str, hosted: HostedVoices) -> str | None:
        """The id or name of the voice that an alias or a listed name stands for, else None."""
        if alias := hosted.aliases.get(name):
            return alias
        if name not in hosted.listed or self._built_in(name):
            return None
        return hosted.default or self._by_gender(hosted.listed).get(name)

    def _by_gender(self, genders: Mapping[str, str]) -> dict[str, str]:
        """A voice of the engine's own for each name, of the same gender if there is one, in turn."""
        own = self._engine.capabilities.voices
        taken = dict.fromkeys(genders.values(), 0)
        spread = {}
        for name, gender in genders.items():
            if fitting := [voice for voice in own if voice.gender == gender] or own:
                spread[name] = fitting[taken[gender] % len(fitting)].id
                taken[gender] += 1
        return spread

    def _any_built_in(self, name: str) -> Prompt | None:
        """One of the engine's own voices, the same for the same name; None if it has none."""
        own = self._engine.capabilities.voices
        if not own:
            return None
        return self._engine.builtin_prompt(own[zlib.crc32(name.encode()) % len(own)].id)

    def _built_in(self, wanted: str) -> Prompt | None:
        if prompt := self._engine.builtin_prompt(wanted):
            return prompt
        folded = wanted.casefold()
        for voice in self._engine.capabilities.voices:
            if folded in (voice.id.casefold(), voice.name.casefold()):
                return self._engine.builtin_prompt(voice.id)
        return None

    async def _find(self, owner: str | None, wanted: str) -> Prompt:
        if prompt := self._built_in(wanted):
            return prompt
        reference = await self._stored(owner, wanted)
        key = prompt_id(owner, reference.content_id)
        if known := self._engine.cached_prompt(key):
            return known
        return await self._preparing.run(key, partial(self._load, owner, reference, key))

    async def _stored(self, owner: str | None, wanted: str) -> Reference:
        try:
            if is_id(wanted):
                return await self._store.get(owner, wanted)
            if name := as_name(wanted):
                return await self._store.named(owner, name)
        except ReferenceAudioNotFound:
            pass
        # The same message for ids that are malformed, unknown or someone else's.
        raise ReferenceAudioNotFound(f"no voice has the id or name {wanted[:64]!r}")

    # From a reference to a prompt

    async def _load(self, owner: str | None, reference: Reference, key: str) -> Prompt:
        data = await self._store.read(owner, reference.id)
        clip = await asyncio.to_thread(decode_clip, data, reference.pcm_rate, self._limits)
        return await self._prepare(key, clip, reference.text)

    async def _prepare(self, key: str, clip: Clip, text: str) -> Prompt:
        transcribed = TranscribedClip(key, clip.samples, clip.sample_rate, text)
        return await self._engine.prepare_prompt(transcribed)
