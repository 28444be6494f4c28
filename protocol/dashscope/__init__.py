"""The hosted service's own WebSocket, `/api-ws/v1/inference`, as the dashscope SDK speaks it."""

from .codec import DashScopeCodec

__all__ = ["DashScopeCodec"]
