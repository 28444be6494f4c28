"""Delivery: what a client has still to take of the bytes written to it, and how long it may take.

Bytes of a finished write may still be in our transport, in our kernel, on the way, or in the peer's
kernel. This package measures what the peer takes. So it tells slow readers from stalled ones, lets the
end of a stream wait for its last byte, and keeps queues short. Answers that are not streamed wait here, in
spools, and sounds that have an address of their own are kept there for a while.
"""

from .delivery import Delivery
from .kept import KeptSound, KeptSounds
from .registry import Deliveries
from .spool import Spool, Spools

__all__ = ["Deliveries", "Delivery", "KeptSound", "KeptSounds", "Spool", "Spools"]
