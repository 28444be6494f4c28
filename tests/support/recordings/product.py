"""All that the recordings import of the product: the one module to change where its parts move."""

from __future__ import annotations

import re
from typing import get_args

from cosyserve.engine.interface import (
    EngineBusy,
    EngineDied,
    EngineError,
    EngineNotReady,
    InvalidReference,
    PcmChunk,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
    Work,
)
from cosyserve.protocol import errors
from cosyserve.protocol.dashscope.codec import ERROR_CODES as DASHSCOPE_CODES
from cosyserve.protocol.dashscope.parameters import FORMATS as DASHSCOPE_FORMATS
from cosyserve.protocol.elevenlabs.parameters import FORMATS as ELEVENLABS_FORMATS
from cosyserve.protocol.elevenlabs.rest import status_of
from cosyserve.protocol.errors import BadFrame, TTSError
from cosyserve.protocol.messages import Event, TaskCommand
from cosyserve.protocol.openai import error_body
from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat, SpeechParameters
from cosyserve.server.app import RunningServer, serve
from cosyserve.server.dialects import labels_of
from cosyserve.server.dialects.served import DIALECTS
from cosyserve.server.settings import load_settings
from cosyserve.server.voices.clip import Clip, content_id

__all__ = [
    "BIT_RATES",
    "DASHSCOPE_FORMATS",
    "DIALECTS",
    "ELEVENLABS_FORMATS",
    "SAMPLE_RATES",
    "TRANSPORTS",
    "AudioFormat",
    "Clip",
    "EngineBusy",
    "EngineDied",
    "EngineError",
    "EngineNotReady",
    "InvalidReference",
    "PcmChunk",
    "Prompt",
    "RunningServer",
    "SpeechParameters",
    "SynthesisOptions",
    "TranscribedClip",
    "UnsupportedRequest",
    "Work",
    "commands",
    "content_id",
    "error_codes",
    "events",
    "load_settings",
    "serve",
]

TRANSPORTS = labels_of(DIALECTS)


def events() -> set[str]:
    """The names that the native dialect has for everything that can happen to a task."""
    return {_wire_name(kind) for kind in get_args(Event)}


def commands() -> set[str]:
    """Likewise for what a client can send."""
    return {_wire_name(kind) for kind in get_args(TaskCommand)}


def error_codes(dialect: str) -> dict[str, str]:
    """What a dialect calls each error of the tree, by the tree's own code."""
    found = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, TTSError) and kind is not TTSError:
            error = kind("", 1007) if issubclass(kind, BadFrame) else kind("")
            found[error.code] = _code(error, dialect)
    return found


def _code(error: TTSError, dialect: str) -> str:
    match dialect:
        case "openai":
            return str(error_body(error)["error"]["code"])
        case "elevenlabs":
            return status_of(error.code)
        case "dashscope" | "dashscope_realtime":
            return DASHSCOPE_CODES.get(error.code, error.code)
        case _:
            return error.code


def _wire_name(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
