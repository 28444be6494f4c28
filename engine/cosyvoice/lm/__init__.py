"""The speech LM: text ids to speech tokens."""

from .backend import LmPrompt, SamplingOptions, SpeechLM, TokenStream
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
