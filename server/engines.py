"""Which engine the settings ask for."""

from __future__ import annotations

from cosyserve.engine.base import Engine

from .settings import Settings


def build_engine(settings: Settings) -> Engine:
    """The engine, not yet started. Raises EngineError with what to do if it cannot be had."""
    # Imported here: an engine's libraries are loaded only where it is used.
    from cosyserve.engine.embedded.engine import EmbeddedEngine
    from cosyserve.engine.embedded.options import EmbeddedOptions
    from cosyserve.engine.errors import EngineNotReady

    if settings.engine_name == "cosyvoice2":
        raise EngineNotReady(
            "this release cannot load a CosyVoice 2 checkpoint yet; "
            "leave out model to speak with the embedded voice"
        )
    return EmbeddedEngine(
        EmbeddedOptions(
            workers=settings.embedded_workers, default_language=settings.default_language
        )
    )
