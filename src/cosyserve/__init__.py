"""A self-hosted, WebSocket-first, duplex streaming text-to-speech server for CosyVoice 2.

`from cosyserve import Client` is the client; it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosyserve.version import VERSION as __version__

if TYPE_CHECKING:
    from cosyserve.clients import Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from cosyserve.clients import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
