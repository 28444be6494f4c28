"""A self-hosted, WebSocket-first, duplex streaming text-to-speech server for CosyVoice 2."""

from cosyserve.version import VERSION as __version__

__all__ = ["__version__"]
