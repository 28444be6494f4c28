"""What the hosted service's voice names stand for here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cosyserve.engine.interface import BuiltinVoice
from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.protocol.openai import HOSTED_VOICES


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
