"""The vocoder: HiFT in torch, offline and streaming.

Parity with the reference: the entry points of `Hift` (hift.py) and the chunk loops in parity.py.
"""

from .hift import Hift
from .layers import DIRECTION, GAIN, fold_weight_norm
from .reach import Reach, reach
from .source import PhaseLaw
from .streaming import StreamPolicy, VocoderState

__all__ = [
    "DIRECTION",
    "GAIN",
    "Hift",
    "PhaseLaw",
    "Reach",
    "StreamPolicy",
    "VocoderState",
    "fold_weight_norm",
    "reach",
]
