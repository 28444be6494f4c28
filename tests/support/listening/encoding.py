"""Encoders as tests use them: sound in, all of the stream out."""

from __future__ import annotations

import itertools

from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters
from cosyserve.server.audio import Encoded, open_encoder

from .audio import Floats

RATE = 24000
FORMATS = [audio_format.value for audio_format in AudioFormat if not audio_format.g711]
TELEPHONE_FORMATS = [audio_format.value for audio_format in AudioFormat if audio_format.g711]


def parameters(**values: object) -> SpeechParameters:
    return SpeechParameters.model_validate(
        {"mode": Mode.FAST, "reference_audio_id": "any", **values}
    )


def encode(
    samples: Floats,
    sizes: list[int],
    rate: int = RATE,
    engine_speed: bool = False,
    engine_pitch: bool = False,
    **values: object,
) -> list[Encoded]:
    """All results for the samples, cut into pieces of these sizes in turn."""
    encoder = open_encoder(
        parameters(**values), rate, engine_speed=engine_speed, engine_pitch=engine_pitch
    )
    results, position = [], 0
    for size in itertools.cycle(sizes):
        if position >= len(samples):
            return [*results, encoder.flush()]
        results.append(encoder.encode(samples[position : position + size]))
        position += size
    raise AssertionError("cycle ends")


def joined(results: list[Encoded]) -> bytes:
    return b"".join(result.data for result in results)


def whole(samples: Floats, **values: object) -> tuple[bytes, float]:
    results = encode(samples, [len(samples)], **values)  # type: ignore[arg-type]
    return joined(results), sum(result.seconds for result in results)
