"""The speech LM: text ids to speech tokens."""

from .interface import LmPrompt, SamplingOptions, SpeechLM, TokenStream
from .errors import LmError, LmFailed, LmLoop, LmNotFinite, LmTooLong

__all__ = [
    "LmError",
    "LmFailed",
    "LmLoop",
    "LmNotFinite",
    "LmPrompt",
    "LmTooLong",
    "SamplingOptions",
    "SpeechLM",
    "TokenStream",
]
