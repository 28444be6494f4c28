"""Heads of WAV streams, and lengths in the heads of finished ones.

The stdlib's `wave` and soundfile cannot write the head of a stream of unknown length: both compute its
sizes, and the field's convention for "unknown" overflows them.
"""

from __future__ import annotations

import struct
from typing import Final

from cosyserve.protocol.parameters import AudioFormat

from .provenance import Provenance

_BEGIN: Final = struct.Struct("<4sI8sIHHIIHH")
_EXTENSION: Final = struct.Struct(
    "<H4sII"
)  # its own size, and the chunk "fact": needed by all but PCM
_CHUNK: Final = struct.Struct("<4sI")
_TAGS: Final = {AudioFormat.WAV: 1, AudioFormat.WAV_ALAW: 6, AudioFormat.WAV_ULAW: 7}
"""wFormatTag: WAVE_FORMAT_PCM, _ALAW and _MULAW."""
_RIFF_HEAD: Final = 12  # before the first chunk
SIZED_HEAD: Final = 512
"""Bytes at the beginning of a stream in which its length is, in every format that has one."""
_UNKNOWN_SIZE: Final = 0xFFFFFFFF  # every common reader takes it as "to the end"; 0 they do not
_STREAMINFO: Final = slice(
    18, 26
)  # of a FLAC file: rate, channels and bits, then the total of samples
_TOTAL_BITS: Final = 36


def wav_head(
    audio_format: AudioFormat, sample_rate: int, provenance: Provenance | None = None
) -> bytes:
    """The head of a mono stream of unknown length. provenance: what it says of its sound."""
    tag = _TAGS[audio_format]
    width = 1 if audio_format.g711 else 2
    extended = audio_format.g711
    head = _BEGIN.pack(
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVEfmt ", 18 if extended else 16, tag, 1),
        *(sample_rate, sample_rate * width, width, 8 * width),
    )
    if extended:
        head += _EXTENSION.pack(0, b"fact", 4, _UNKNOWN_SIZE)
    if provenance is not None:
        head += provenance.info_chunk()
    return head + _CHUNK.pack(b"data", _UNKNOWN_SIZE)


def sized_head(head: bytes, audio_format: AudioFormat, size: int, samples: int) -> bytes:
    """The first SIZED_HEAD bytes of a complete stream with its length in them.

    head: as the encoder made them. size: bytes of the whole stream; samples: of its sound. Formats without
    a field for the length (all but WAV and FLAC) stay as they are.
    """
    if not head:
        return head
    if audio_format in _TAGS:
        return _sized_wav(head, size)
    if audio_format is AudioFormat.FLAC:
        fields = int.from_bytes(head[_STREAMINFO], "big")
        total = samples % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return head[: _STREAMINFO.start] + patched + head[_STREAMINFO.stop :]
    return head


def _sized_wav(head: bytes, size: int) -> bytes:
    """With a chunk "fact" only where a sample is a byte."""
    places, at, name = {}, _RIFF_HEAD, b""
    while name != b"data":
        name, length = _CHUNK.unpack_from(head, at)
        places[name] = at
        at += _CHUNK.size + (0 if name == b"data" else length)
    sized = bytearray(head)
    struct.pack_into("<I", sized, 4, size - 8)
    struct.pack_into("<I", sized, places[b"data"] + 4, size - at)
    if (fact := places.get(b"fact")) is not None:
        struct.pack_into("<I", sized, fact + _CHUNK.size, size - at)  # a byte a sample
    return bytes(sized)
