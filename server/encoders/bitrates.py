"""Which bit rates the lossy codecs really have, and the one taken for what was asked."""

from __future__ import annotations

from typing import Final

from cosyserve.protocol.parameters import AudioFormat

# ISO/IEC 11172-3 and 13818-3, Layer III. LAME turns any other value into one of these in silence.
_MPEG1: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG25: Final = (8, 16, 24, 32, 40, 48, 56, 64)

_AAC_FRAME_BITS: Final = 6144  # ISO/IEC 14496-3: at most, for a frame of one channel
_AAC_FRAME_SAMPLES: Final = 1024
_AAC_LEAST: Final = 8
_OPUS_LEAST: Final = 6
_OPUS_MOST: Final = 256  # libopus takes 256 kbit/s for each channel, and this is one


def mp3_bit_rates(sample_rate: int) -> tuple[int, ...]:
    """The kbit/s that MP3 has at this sample rate, rising."""
    if sample_rate >= 32000:
        return _MPEG1
    return _MPEG2 if sample_rate >= 16000 else _MPEG25


def effective_bit_rate(audio_format: AudioFormat, sample_rate: int, asked: str) -> int | None:
    """The kbit/s the encoder works with for the asked `"192k"`; None for a lossless format.

    It is the nearest that the codec has at this sample rate in one channel (the higher of two
    equally near). MP3 keeps to it exactly; Opus and AAC spend as much where the sound needs it.
    """
    kbits = int(asked.removesuffix("k"))
    match audio_format:
        case AudioFormat.MP3:
            return min(mp3_bit_rates(sample_rate), key=lambda rate: (abs(rate - kbits), -rate))
        case AudioFormat.OPUS:
            return max(_OPUS_LEAST, min(kbits, _OPUS_MOST))
        case AudioFormat.AAC:
            most = _AAC_FRAME_BITS * sample_rate // _AAC_FRAME_SAMPLES // 1000
            return max(_AAC_LEAST, min(kbits, most))
        case _:
            return None
