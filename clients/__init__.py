"""The client side: an async Python client and the command line."""

from .buffer import Chunk
from .client import Client
from .errors import (
    AuthenticationFailed,
    ClientError,
    ConnectionFailed,
    ConnectionLost,
    InvalidRequest,
    NotFound,
    RequestFailed,
    SpeechEnded,
    SpeechStalled,
    TaskFailed,
    UnexpectedMessage,
)
from .rest import BuiltinVoice, ReferenceAudio, References
from .speech import Speech, SpeechMetrics

__all__ = [
    "AuthenticationFailed",
    "BuiltinVoice",
    "Chunk",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "ConnectionLost",
    "InvalidRequest",
    "NotFound",
    "ReferenceAudio",
    "References",
    "RequestFailed",
    "Speech",
    "SpeechEnded",
    "SpeechMetrics",
    "SpeechStalled",
    "TaskFailed",
    "UnexpectedMessage",
]
