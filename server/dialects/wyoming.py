"""The Wyoming dialect: a port of its own, for Home Assistant and other voice assistants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from websockets.frames import CloseCode
from wyoming.info import Attribution, Info, TtsProgram, TtsVoice

from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX, error_body
from cosyserve.protocol.wyoming.codec import WyomingCodec, event_frame
from cosyserve.version import VERSION

from ..auth import ANONYMOUS, Caller
from ..services import Services
from ..voices.book import Voice
from . import Dialect, Terms, text_limits

WYOMING: Final = Dialect(name="wyoming", error_body=error_body)

_OWN: Final = Attribution("cosyserve", "")
_LANGUAGES: Final = ("en",)
"""Where the engine does not know its languages: a list without any hides the voice."""


def caller_of(services: Services) -> Caller:
    """As whom those who connect are counted: the protocol has no tokens."""
    return Caller(WYOMING.name) if services.settings.tokens else ANONYMOUS


def terms(services: Services) -> Terms:
    """What holds on a new connection."""
    settings = services.settings

    async def described() -> bytes:
        return await describe(services)

    return Terms(
        codec=WyomingCodec(described, settings.wyoming_default_voice or _first_voice(services)),
        limits=text_limits(settings),
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.wyoming_idle_timeout,
        idle_timeout=settings.wyoming_idle_timeout,
        in_turn=True,  # events do not say which text they are of
        failure_closes=CloseCode.NORMAL_CLOSURE,  # clients wait for sound, and know no other end
    )


async def describe(services: Services) -> bytes:
    """The `info` event: the engine's own voices and the caller's references. Raises as the store does."""
    own = services.voices.built_in()
    cloned = await services.voices.cloned(services.owner(caller_of(services)), LIMIT_MAX)
    languages = [*(services.engine.capabilities.languages or _LANGUAGES)]
    program = TtsProgram(
        name="cosyserve",
        attribution=_OWN,
        installed=True,
        description="Streaming text-to-speech",
        version=VERSION,
        voices=[*_listed([*own, *cloned], languages)],
        supports_synthesize_streaming=True,
    )
    return event_frame(Info(tts=[program])).text


def _listed(voices: list[Voice], languages: list[str]) -> Iterator[TtsVoice]:
    for voice in voices:
        yield TtsVoice(
            name=voice.id,
            attribution=_OWN,
            installed=True,
            description=voice.name,
            version=None,
            languages=languages,
        )


def _first_voice(services: Services) -> str | None:
    own = services.engine.capabilities.voices
    return own[0].id if own else None
