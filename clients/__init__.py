"""The client side: an async Python client, and in `cli` the client commands.

    async with Client("http://127.0.0.1:8000") as client:
        voices = await client.voices()
        async for chunk in client.say("Hello.", voice=voices[0].id):
            play(chunk.data)

`Client.speech` gives a Speech, which is fed and heard at the same time; `Client.references` uploads,
lists and deletes the clips whose voices a speech can take. All errors are subclasses of ClientError.
"""

from cosyserve.protocol.messages import Heard

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
    "Heard",
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
