"""hibari's model: phonemes in, sound out, with the time of each phoneme."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import hibari
import numpy as np
import onnxruntime
from hibari import dsp
from hibari.g2p import G2P

from ..frames import SAMPLE_RATE
from .vocoder import Spectra, Vocoder

if TYPE_CHECKING:
    from ...interface import Samples

assert dsp.SR == SAMPLE_RATE
_DURATIONS: Final = "/Clip_output_0"
_OWN_DURATIONS: Final = "/Sub_output_0"
"""Tensors of the model, which the file does not give out: each phoneme's duration at the asked speed,
and at speed 1 before it is rounded."""
_DURATION: Final = 600
"""Samples in a unit of them: 25 ms."""
_AHEAD: Final = 0.075
"""Seconds at speed 1 by which a phoneme is heard before its duration begins; Kokoro's own timestamps take
off as much. Measured by alignment with a recogniser."""
_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Numbers of the fields ModelProto.graph, GraphProto.output, ValueInfoProto.name in onnx.proto."""
_ASSETS: Final = Path(hibari.__file__).parent / "assets"


class Voiced(NamedTuple):
    """The sound of a row of phonemes, but for most of the silence at its ends.

    f0: Hz at equal distances over the sound, 0 where there is no voice. begins: the sample at which
    each phoneme begins. stretch: the factor on the length that is left to do for the asked speed: the
    model rounds each phoneme to 25 ms.
    """

    sound: Samples
    f0: Samples
    begins: list[int]
    stretch: float


class HibariModel:
    """The model and its dictionaries, loaded: about 170 MB, in a third of a second.

    Raises what onnxruntime and json raise if the package is damaged.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False
        model = (_ASSETS / "hibari.onnx").read_bytes()
        model += _output(_DURATIONS) + _output(_OWN_DURATIONS)
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.alphabet: Mapping[str, int] = json.loads((_ASSETS / "vocab.json").read_text("utf-8"))
        self._vocoder = Vocoder()
        self.g2p = G2P()
        self.g2p.oov  # noqa: B018 - loads the network for unknown words, else the first one waits for it

    def speak(self, symbols: str, speed: float, seed: int) -> Voiced:
        """Speak symbols of the alphabet. seed: of the noise in the sound."""
        ids = [0, *(self.alphabet[symbol] for symbol in symbols), 0]  # silence at both ends
        asked = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        wanted = [*Spectra._fields, _DURATIONS, _OWN_DURATIONS]
        *parts, durations, own = self._session.run(wanted, asked)
        spectra = Spectra(*(part[0] for part in parts))
        sound, first = self._vocoder.sound(spectra, seed)
        ends = np.cumsum(np.rint(durations.reshape(-1))) * _DURATION
        begins = np.maximum(ends[:-2] - _AHEAD / speed * SAMPLE_RATE - first * dsp.HOP, 0)
        length = np.maximum(np.rint(own), 1).sum() * _DURATION / speed
        stretch = float(length / ends[-1]) if speed != 1.0 else 1.0
        f0 = spectra.f0[first : first + len(sound) // dsp.HOP]
        return Voiced(sound, f0, begins.astype(int).tolist(), stretch)


def _output(tensor: str) -> bytes:
    """What makes an inner tensor an output, at the end of an ONNX file.

    Another graph field is merged with the first one, as protobuf prescribes: so this needs no onnx.
    """
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, tensor.encode())))


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    length = len(content)
    head = bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
