"""The speech LM: text ids to speech tokens."""

from .interface import (
    LmError,
    LmFailed,
    LmLoop,
    LmNotFinite,
    LmPrompt,
    LmTooLong,
    SamplingOptions,
    SpeechLM,
    SpeechTokenStream,
)

__all__ = [
    "LmError",
    "LmFailed",
    "LmLoop",
    "LmNotFinite",
    "LmPrompt",
    "LmTooLong",
    "SamplingOptions",
    "SpeechLM",
    "SpeechTokenStream",
]
