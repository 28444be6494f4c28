"""Delivery: what a client has still to take of what was written to it, and how long it may take.

A write that returned is not read: it stands in our transport, in our kernel, on the way, or in the
peer's kernel. Here is measured what the peer takes, so that a slow reader and a stalled one can be
told apart, so that the end of a stream waits for its last byte, and so that little stands in line.
"""

from .delivery import Delivery
from .registry import Deliveries

__all__ = ["Deliveries", "Delivery"]
