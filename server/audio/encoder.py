"""The interface of encoders: PCM in, the bytes of one valid stream out, with their exact length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cosyserve.engine.interface import Samples
from cosyserve.protocol.messages import EffectiveAudio


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes of a stream, and the seconds of sound that a decoder makes of them.

    seconds > 0 if data is not empty, so that no event is without sound.
    """

    data: bytes
    seconds: float


NOTHING = Encoded(b"", 0.0)


class AudioEncoder(Protocol):
    """An incremental transform. Not thread-safe, but it may move between threads.

    The `data` of all results joined is one stream of the format; the sum of `seconds` is its decoded
    length.
    """

    @property
    def effective(self) -> EffectiveAudio:
        """Format, sample rate and bit rate of the stream, which may differ from those asked for."""

    def encode(self, samples: Samples) -> Encoded:
        """Take mono samples at the rate that the encoder was opened for; NOTHING while it buffers."""

    def flush(self) -> Encoded:
        """End the stream and return the rest of it. Call once, and do not encode afterwards."""


class FormatCodec(Protocol):
    """The last stage of an encoder: samples at the stream's rate in, its bytes out."""

    def encode(self, samples: Samples) -> Encoded: ...

    def flush(self) -> Encoded: ...
