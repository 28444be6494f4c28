"""Heads of WAV streams, and lengths in the heads of finished ones.

The stdlib's `wave` and soundfile cannot write the head of a stream of unknown length: both compute its
sizes, and the field's convention for "unknown" overflows them.
"""

from __future__ import annotations

import struct
from typing import Final

from cosyserve.protocol.parameters import AudioFormat

_BEGIN: Final = struct.Struct("<4sI8sIHHIIHH")
_EXTENSION: Final = struct.Struct(
    "<H4sII"
)  # its own size, and the chunk "fact": needed by all but PCM
_DATA: Final = struct.Struct("<4sI")
_TAGS: Final = {AudioFormat.WAV: 1, AudioFormat.WAV_ALAW: 6, AudioFormat.WAV_ULAW: 7}
"""wFormatTag: WAVE_FORMAT_PCM, _ALAW and _MULAW."""
_SAMPLE_RATE_AT: Final = 24
SIZED_HEAD: Final = _BEGIN.size + _EXTENSION.size + _DATA.size
"""Bytes at the beginning of a stream in which its length is, in every format that has one."""
_UNKNOWN_SIZE: Final = 0xFFFFFFFF  # every common reader takes it as "to the end"; 0 they do not
_STREAMINFO: Final = slice(
    18, 26
)  # of a FLAC file: rate, channels and bits, then the total of samples
_TOTAL_BITS: Final = 36


def wav_head(audio_format: AudioFormat, sample_rate: int, data_size: int | None = None) -> bytes:
    """The head of a mono stream. data_size: in bytes, None for a stream of unknown length."""
    tag = _TAGS[audio_format]
    width = 1 if audio_format.g711 else 2
    extended = audio_format.g711
    rest = _DATA.size + (_EXTENSION.size if extended else 0)
    riff = data = samples = _UNKNOWN_SIZE
    if data_size is not None:
        riff, data, samples = _BEGIN.size + rest - 8 + data_size, data_size, data_size // width
    head = _BEGIN.pack(
        *(b"RIFF", riff, b"WAVEfmt ", 18 if extended else 16, tag, 1),
        *(sample_rate, sample_rate * width, width, 8 * width),
    )
    if extended:
        head += _EXTENSION.pack(0, b"fact", 4, samples)
    return head + _DATA.pack(b"data", data)


def sized_head(head: bytes, audio_format: AudioFormat, size: int, samples: int) -> bytes:
    """The first SIZED_HEAD bytes of a complete stream with its length in them.

    head: as the encoder made them. size: bytes of the whole stream; samples: of its sound. Formats without
    a field for the length (all but WAV and FLAC) stay as they are.
    """
    if not head:
        return head
    if audio_format in _TAGS:
        (sample_rate,) = struct.unpack_from("<I", head, _SAMPLE_RATE_AT)
        length = len(wav_head(audio_format, sample_rate))
        return wav_head(audio_format, sample_rate, size - length) + head[length:]
    if audio_format is AudioFormat.FLAC:
        fields = int.from_bytes(head[_STREAMINFO], "big")
        total = samples % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return head[: _STREAMINFO.start] + patched + head[_STREAMINFO.stop :]
    return head
