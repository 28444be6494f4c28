"""What every encoder does: PCM in, bytes of one valid stream out, and exact accounts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cosyserve.engine.interface import Samples
from cosyserve.protocol.messages import EffectiveAudio


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes of a stream and the seconds of sound that a decoder will make of them.

    seconds > 0 wherever data is not empty, so that no event stands for no speech.
    """

    data: bytes
    seconds: float


NOTHING = Encoded(b"", 0.0)


class AudioEncoder(Protocol):
    """An incremental transform with two verbs; not thread-safe, but it may move between threads.

    The `data` of all results joined is one stream of the format, the sum of `seconds` its decoded
    length.
    """

    @property
    def effective(self) -> EffectiveAudio:
        """The format, sample rate and bit rate that it really writes."""

    def encode(self, samples: Samples) -> Encoded:
        """Take mono samples at the rate the encoder was opened for; NOTHING while it buffers."""

    def flush(self) -> Encoded:
        """End the stream: all that was held back. Call once; encode nothing after it."""


class FormatCodec(Protocol):
    """The last stage of an encoder: samples at the format's rate in, its bytes out."""

    def encode(self, samples: Samples) -> Encoded: ...

    def flush(self) -> Encoded: ...
