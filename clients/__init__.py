"""The client side: an async Python client and the command line."""

from .buffer import AudioChunk
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
    SpeechFailed,
    SpeechStalled,
    UnexpectedMessage,
)
from .rest import ReferenceAudio, References, ServerVoice
from .speech import Speech, SpeechMetrics

__all__ = [
    "AudioChunk",
    "AuthenticationFailed",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "ConnectionLost",
    "InvalidRequest",
    "NotFound",
    "ReferenceAudio",
    "References",
    "RequestFailed",
    "ServerVoice",
    "Speech",
    "SpeechEnded",
    "SpeechFailed",
    "SpeechMetrics",
    "SpeechStalled",
    "UnexpectedMessage",
]
