"""The hosted service's realtime speech, `/api-ws/v1/realtime`, as the SDK's QwenTtsRealtime has it."""

from .codec import RealtimeCodec

__all__ = ["RealtimeCodec"]
