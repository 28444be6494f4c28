"""ElevenLabs' APIs: its two WebSockets that take text as it comes, and its speech over HTTP."""

from .codec import MultiStreamCodec, StreamCodec
from .parameters import StreamOptions, stream_options

__all__ = ["MultiStreamCodec", "StreamCodec", "StreamOptions", "stream_options"]
