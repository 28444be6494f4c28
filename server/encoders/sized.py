"""The true sizes in the headers of an answer that is sent whole."""

from __future__ import annotations

import io
import struct
from typing import Final

import av

from cosyserve.protocol.parameters import AudioFormat

from ..audio.pcm import WAV_HEADER_SIZE, wav_header

_STREAMINFO_TOTAL: Final = slice(
    18, 26
)  # of a FLAC file: rate, channels, bits, then 36 bits of total
_TOTAL_BITS: Final = 36


def sized(data: bytes, audio_format: AudioFormat) -> bytes:
    """A whole stream with its length in the header, where the format has such a field (WAV, FLAC).

    data: all results of one encoder, joined. Heavy for FLAC: it reads the frames' headers.
    """
    if audio_format is AudioFormat.WAV and len(data) >= WAV_HEADER_SIZE:
        (sample_rate,) = struct.unpack_from("<I", data, 24)
        return wav_header(sample_rate, len(data) - WAV_HEADER_SIZE) + data[WAV_HEADER_SIZE:]
    if audio_format is AudioFormat.FLAC and data:
        fields = int.from_bytes(data[_STREAMINFO_TOTAL], "big")
        total = _flac_samples(data) % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return data[: _STREAMINFO_TOTAL.start] + patched + data[_STREAMINFO_TOTAL.stop :]
    return data


def _flac_samples(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r", format="flac") as container:
        stream = container.streams.audio[0]
        last = 0
        for packet in container.demux(stream):
            if packet.pts is not None and packet.duration and packet.time_base is not None:
                end = (packet.pts + packet.duration) * packet.time_base * stream.rate
                last = round(end)
        return last
