"""From what a client calls a voice to a voice the engine can speak in.

What the hosted service's voice names stand for here.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cosyserve.engine.interface import BuiltinVoice, Engine, Prompt, TranscribedClip
from cosyserve.protocol.errors import InvalidParameter, ReferenceAudioNotFound
from cosyserve.protocol.fields import refusal
from cosyserve.protocol.openai import HOSTED_VOICES

from .clip import Clip, ClipLimits, decode_clip
from .record import is_id
from .store import ALLOWED, Reference, ReferenceStore, as_name


class VoiceNames:
    """The aliases of one server.

    aliases: what is configured. default: what the hosted names beside them stand for, None to
    spread them over `builtin`, the engine's own voices.
    """

    def __init__(
        self,
        aliases: Iterable[tuple[str, str]],
        default: str | None,
        builtin: Sequence[BuiltinVoice],
    ) -> None:
        self._builtin = builtin
        spread = {} if default else _spread(builtin)
        own = {name.casefold() for voice in builtin for name in (voice.id, voice.name)}
        hosted = {name: default or spread.get(name) for name in HOSTED_VOICES if name not in own}
        self._voices: dict[str, str | None] = hosted | dict(aliases)

    def resolve(self, name: str) -> str:
        """The id or name of the voice meant; a name that is no alias stands for itself.

        Raises ReferenceAudioNotFound for a hosted name that stands for nothing.
        """
        voice = self._voices.get(name, name)
        if voice is None:
            raise ReferenceAudioNotFound(
                f"voice: {name!r} stands for no voice: this engine has none of its own; allowed: the "
                "id or name of an uploaded reference audio. The server's settings openai_voices and "
                "openai_default_voice say what such names stand for"
            )
        return voice

    def listed(self) -> Iterator[tuple[str, str]]:
        """Ids and names of all that `resolve` knows: the engine's own voices, then the aliases."""
        own = {voice.id: voice.name for voice in self._builtin}
        yield from own.items()
        yield from (
            (alias, alias) for alias, voice in self._voices.items() if voice and alias not in own
        )


def _spread(builtin: Sequence[BuiltinVoice]) -> dict[str, str]:
    """A built-in voice for each hosted name, always the same, of the same gender where there is one."""
    taken = {"female": 0, "male": 0}
    spread = {}
    for name, gender in HOSTED_VOICES.items():
        fitting = [voice for voice in builtin if voice.gender == gender] or builtin
        if fitting:
            spread[name] = fitting[taken[gender] % len(fitting)].id
            taken[gender] += 1
    return spread


_Preparation = Coroutine[None, None, Prompt]


@dataclass(frozen=True, slots=True)
class HostedVoices:
    """Names of voices that a hosted service has.

    One that nobody has here stands for `default`, an id or a name; where that is None, for one of the
    engine's own voices.
    """

    names: re.Pattern[str]
    default: str | None


class VoiceBook:
    """Resolves ids and names to voices: the engine's own first, then the caller's references.

    The engine keeps the voices, by the content of their clips; here two tasks that ask for the same clip
    at once make it read and prepared once.
    """

    def __init__(self, engine: Engine, store: ReferenceStore, limits: ClipLimits) -> None:
        self._engine = engine
        self._store = store
        self._limits = limits
        self._preparing: dict[str, asyncio.Task[Prompt]] = {}

    async def resolve(
        self, owner: str | None, wanted: str, hosted: HostedVoices | None = None
    ) -> Prompt:
        """A built-in voice, or the voice of a reference of this owner (None: of anybody).

        wanted: an id or a name; for a built-in voice in any case. Of several references with the
        same name it is the newest. hosted: names that may stand for other voices.
        Raises ReferenceAudioNotFound, InvalidReference, EngineNotReady.
        """
        try:
            return await self._find(owner, wanted)
        except ReferenceAudioNotFound:
            if hosted is None or not hosted.names.fullmatch(wanted):
                raise
            if hosted.default is not None:
                return await self._find(owner, hosted.default)
            if stand_in := self._stand_in(wanted):
                return stand_in
            raise

    async def knows(self, owner: str | None, wanted: str) -> bool:
        """Whether `resolve` would find a voice of this id or name. Raises what the store raises."""
        if self._builtin(wanted):
            return True
        try:
            await self._stored(owner, wanted)
        except ReferenceAudioNotFound:
            return False
        return True

    async def _find(self, owner: str | None, wanted: str) -> Prompt:
        if builtin := self._builtin(wanted):
            return builtin
        stored = await self._stored(owner, wanted)
        if known := self._engine.known_voice(stored.content_id):
            return known
        return await self._once(stored.content_id, self._load(owner, stored))

    def check_name(self, text: str) -> str:
        """The name as it is kept for a reference. Raises InvalidParameter if it cannot be one."""
        name = as_name(text)
        if name is None:
            raise refusal("name", text, ALLOWED)
        if self._builtin(name):
            raise InvalidParameter(
                f"name: {name!r} is a built-in voice here; allowed: any name that is none"
            )
        return name

    async def learn(self, content_id: str, clip: Clip, text: str) -> Prompt:
        """Prepare the voice of a clip that was just decoded. Raises as `resolve` does."""
        if known := self._engine.known_voice(content_id):
            return known
        return await self._once(content_id, self._prepare(content_id, clip, text))

    def _builtin(self, wanted: str) -> Prompt | None:
        if voice := self._engine.builtin_voice(wanted):
            return voice
        folded = wanted.casefold()
        for known in self._engine.capabilities.voices:
            if folded in (known.id.casefold(), known.name.casefold()):
                return self._engine.builtin_voice(known.id)
        return None

    def _stand_in(self, name: str) -> Prompt | None:
        """One of the engine's own voices, the same for the same name; None if it has none."""
        own = self._engine.capabilities.voices
        if not own:
            return None
        return self._engine.builtin_voice(own[zlib.crc32(name.encode()) % len(own)].id)

    async def _stored(self, owner: str | None, wanted: str) -> Reference:
        try:
            if is_id(wanted):
                return await self._store.get(owner, wanted)
            if name := as_name(wanted):
                return await self._store.named(owner, name)
        except ReferenceAudioNotFound:
            pass
        # The same words for whatever is malformed, unknown or another owner's.
        raise ReferenceAudioNotFound(f"no voice has the id or name {wanted[:64]!r}")

    async def _once(self, content_id: str, prepare: _Preparation) -> Prompt:
        running = self._preparing.get(content_id)
        if running is None:
            running = asyncio.create_task(prepare)
            self._preparing[content_id] = running
            running.add_done_callback(lambda task: self._prepared(content_id, task))
        else:
            prepare.close()
        # Shielded: the others that wait for the same voice must not lose it when one gives up.
        return await asyncio.shield(running)

    def _prepared(self, content_id: str, task: asyncio.Task[Prompt]) -> None:
        del self._preparing[content_id]
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; it is not lost if nobody does

    async def _load(self, owner: str | None, stored: Reference) -> Prompt:
        data = await self._store.read(owner, stored.id)
        clip = await asyncio.to_thread(decode_clip, data, stored.pcm_rate, self._limits)
        return await self._prepare(stored.content_id, clip, stored.text)

    async def _prepare(self, content_id: str, clip: Clip, text: str) -> Prompt:
        reference = TranscribedClip(content_id, clip.samples, clip.sample_rate, text)
        return await self._engine.prepare_voice(reference)
