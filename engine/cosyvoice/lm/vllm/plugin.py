"""vLLM's entry point `vllm.general_plugins`: every process of vLLM calls `register` when it starts."""

from __future__ import annotations

from typing import Final

from .orphans import end_with_the_server

ARCHITECTURE: Final = "CosyVoiceSpeechLM"


def register() -> None:
    """Make the architecture known. Idempotent; imports no model code."""
    from vllm import ModelRegistry

    end_with_the_server()
    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, f"{__package__}.model:{ARCHITECTURE}")
