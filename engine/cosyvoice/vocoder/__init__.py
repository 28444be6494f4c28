"""The vocoder: HiFT in torch, over a stream of mel."""

from .hift import Hift
from .layers import DIRECTION, GAIN, fold_weight_norm
from .reach import Reach, reach
from .streaming import StreamPolicy, VocoderState

__all__ = [
    "DIRECTION",
    "GAIN",
    "Hift",
    "Reach",
    "StreamPolicy",
    "VocoderState",
    "fold_weight_norm",
    "reach",
]
