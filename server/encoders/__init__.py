"""Audio out: samples of the engine in, bytes of the asked format out, chunk by chunk."""

from ..audio.encoder import NOTHING, AudioEncoder, Encoded
from ..audio import heavy, open_encoder, silence
from .sized import sized

__all__ = ["NOTHING", "AudioEncoder", "Encoded", "heavy", "open_encoder", "silence", "sized"]
