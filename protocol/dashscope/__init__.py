"""The hosted service's own WebSocket and HTTP API, as the dashscope SDK speaks them."""

from .codec import DashScopeCodec

__all__ = ["DashScopeCodec"]
