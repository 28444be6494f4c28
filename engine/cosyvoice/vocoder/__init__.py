"""The vocoders: HiFT in torch, over a stream of mel; the causal ones are CosyVoice 3's."""

from .causal import CausalHift
from .causal_streaming import CausalVocoderState
from .hift import Hift
from .interface import StreamingVocoder, VocoderSession
from .layers import DIRECTION, GAIN, fold_weight_norm
from .reach import Reach, reach
from .streaming import StreamPolicy, VocoderState

__all__ = [
    "DIRECTION",
    "GAIN",
    "CausalHift",
    "CausalVocoderState",
    "Hift",
    "Reach",
    "StreamPolicy",
    "StreamingVocoder",
    "VocoderSession",
    "VocoderState",
    "fold_weight_norm",
    "reach",
]
