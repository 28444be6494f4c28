"""vLLM-Omni's speech API beside OpenAI's: a WebSocket that takes text as it comes."""

from .codec import VllmOmniCodec

__all__ = ["VllmOmniCodec"]
