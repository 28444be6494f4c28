"""Which names of models the loaded one answers to."""

from __future__ import annotations

from cosyserve.protocol.errors import ModelNotFound
from cosyserve.protocol.fields import shown
from cosyserve.protocol.parameters import is_same_generation

from ..services import Services


def loaded_models(services: Services) -> tuple[str, ...]:
    """The names of the model that speaks; none where it answers to those of others too."""
    return () if services.settings.any_model else services.engine.capabilities.models


def check_loaded(model: str, services: Services) -> None:
    """Raises ModelNotFound for the name of a CosyVoice model that is not loaded.

    Names of other services' models stand for whichever is.
    """
    loaded = loaded_models(services)
    if loaded and not is_same_generation(model, loaded):
        raise ModelNotFound(f"model: {shown(model)} is not loaded; allowed: {', '.join(loaded)}")
