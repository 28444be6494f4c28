"""From an engine's samples to the bytes of a format: filters, then a codec."""

from __future__ import annotations

from typing import Final

import numpy as np

from cosyserve.engine.interface import Samples
from cosyserve.protocol.messages import EffectiveAudio
from cosyserve.protocol.parameters import AudioFormat, SpeechParameters

from .encoder import AudioEncoder, Encoded, FormatCodec
from .filters import Filter, open_filters, sound
from .flac import FlacCodec
from .g711 import G711Codec
from .heads import SIZED_HEAD, sized_head, wav_head
from .packets import PacketCodec, effective_bit_rate
from .pcm import PcmCodec
from .provenance import Provenance

__all__ = [
    "SIZED_HEAD",
    "AudioEncoder",
    "Encoded",
    "Provenance",
    "heavy",
    "open_encoder",
    "silence",
    "sized_head",
]

_LIGHT: Final = tuple(
    each for each in AudioFormat if each in (AudioFormat.PCM, AudioFormat.WAV) or each.g711
)


class StreamEncoder:
    """The AudioEncoder of every format."""

    def __init__(self, filters: Filter, codec: FormatCodec, effective: EffectiveAudio) -> None:
        self._filters = filters
        self._codec = codec
        self._effective = effective

    @property
    def effective(self) -> EffectiveAudio:
        return self._effective

    def encode(self, samples: Samples) -> Encoded:
        return self._codec.encode(self._filters.feed(sound(samples)))

    def flush(self) -> Encoded:
        tail = self._codec.encode(self._filters.finish())
        end = self._codec.flush()
        return Encoded(tail.data + end.data, tail.seconds + end.seconds)


def open_encoder(
    parameters: SpeechParameters,
    source_rate: int,
    *,
    engine_speed: bool,
    engine_pitch: bool,
    provenance: Provenance | None = None,
) -> AudioEncoder:
    """The encoder of one task.

    source_rate: Hz of the samples that it gets. engine_speed, engine_pitch: whether the engine already
    speaks at `parameters.speed` and `parameters.pitch`; if not, the filters change tempo and pitch.
    provenance: what the stream says of its sound; bare PCM and bare G.711 have no place for it.
    Takes no time: FFmpeg's objects are made when the first samples come.
    """
    audio_format, sample_rate = parameters.output_format, parameters.sample_rate
    filters = open_filters(
        source_rate,
        sample_rate,
        tempo=1.0 if engine_speed else parameters.speed,
        gain=parameters.volume,
        pitch=1.0 if engine_pitch else parameters.pitch,
    )
    kbits = effective_bit_rate(audio_format, sample_rate, parameters.bit_rate)
    return StreamEncoder(
        filters,
        _codec(audio_format, sample_rate, kbits, provenance),
        EffectiveAudio(audio_format.value, sample_rate, f"{kbits}k" if kbits else None),
    )


def _codec(
    audio_format: AudioFormat, sample_rate: int, kbits: int | None, provenance: Provenance | None
) -> FormatCodec:
    match audio_format:
        case AudioFormat.PCM:
            return PcmCodec(sample_rate)
        case AudioFormat.WAV:
            return PcmCodec(sample_rate, wav_head(audio_format, sample_rate, provenance))
        case AudioFormat.ULAW | AudioFormat.ALAW:
            return G711Codec(audio_format)
        case AudioFormat.WAV_ULAW | AudioFormat.WAV_ALAW:
            head = wav_head(audio_format, sample_rate, provenance)
            return G711Codec(audio_format, head, even=True)
        case AudioFormat.FLAC:
            return FlacCodec(sample_rate, provenance)
        case _:
            return PacketCodec(audio_format, sample_rate, kbits, provenance)


def heavy(parameters: SpeechParameters) -> bool:
    """Whether to call `encode` and `flush` of this task's encoder off the event loop.

    0.2 s of sound as PCM or G.711 takes 10 us, with resampling or limiter 50 to 75 us, about as much as
    handing work to a thread; another tempo or pitch takes 270 us, FLAC 230 us, AAC, Opus and MP3 about
    1 ms.
    """
    changed = parameters.speed != 1 or parameters.pitch != 1
    return parameters.output_format not in _LIGHT or changed


def silence(seconds: float, sample_rate: int) -> Samples:
    """Silent samples for this time, at least one."""
    return np.zeros(max(1, round(seconds * sample_rate)), np.float32)
