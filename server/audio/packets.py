"""The formats with a codec of their own stream: MP3, Opus in Ogg and AAC in ADTS, encoded by FFmpeg.

libsndfile does not serve here: it has no AAC and does not tell how many samples the bytes so far hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.packet import Packet

from cosyserve.engine.interface import Samples
from cosyserve.protocol.parameters import AudioFormat

from .encoder import NOTHING, Encoded
from .ffmpeg import Sink, on_one_cpu
from .provenance import Provenance

# kbit/s of ISO/IEC 11172-3 and 13818-3, Layer III. LAME silently replaces any other value by one of these.
_MPEG1: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG25: Final = (8, 16, 24, 32, 40, 48, 56, 64)

_AAC_FRAME_BITS: Final = 6144  # ISO/IEC 14496-3: the most for a frame of one channel
_AAC_FRAME_SAMPLES: Final = 1024
_AAC_LEAST: Final = 8
_OPUS_LEAST: Final = 6
_OPUS_MOST: Final = 256  # libopus allows 256 kbit/s per channel


def mp3_bit_rates(sample_rate: int) -> tuple[int, ...]:
    """The bit rates of MP3 at this sample rate, in ascending kbit/s."""
    if sample_rate >= 32000:
        return _MPEG1
    return _MPEG2 if sample_rate >= 16000 else _MPEG25


def effective_bit_rate(audio_format: AudioFormat, sample_rate: int, asked: str) -> int | None:
    """The kbit/s that the encoder uses for a bit rate such as "192k"; None for a lossless format.

    That is the nearest one that the codec supports at this sample rate for one channel, the higher of two
    equally near ones. MP3 keeps it exactly; Opus and AAC use up to as much as the sound needs.
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


_AAC_FAST_FROM: Final = 64  # kbit/s; below it FFmpeg's slower coder sounds better
_MP3_CAREFUL_TO: Final = 48
_PIECES_PER_SECOND: Final = 10  # FFmpeg gets at most a tenth of a second at once


@dataclass(frozen=True, slots=True)
class _Setup:
    """FFmpeg's codec, container and options for a format.

    sample_format: FFmpeg's name of the codec's input format. whole_frames: whether a decoder returns the
    full frame of every packet, start delay and padding included, or only the times in the packets.
    least: samples of the shortest stream; a shorter one is padded with silence. tagged: the container's
    options that a stream with tags has instead or beside.
    """

    codec: str
    container: str
    sample_format: str
    whole_frames: bool
    codec_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    least: int = 0
    tagged: dict[str, str] = field(default_factory=dict)


def _setup(audio_format: AudioFormat, sample_rate: int, kbits: int) -> _Setup:
    match audio_format:
        case AudioFormat.MP3:
            # Without the bit reservoir no packet waits for a later one. No Xing frame: its sizes are
            # unknown while streaming, and decoders would play it.
            # At low rates LAME's fast mode costs intelligibility: of ten sentences at speed 1.5 and 32k
            # a recogniser understood 5, and 8 with the careful mode, which takes three times the CPU.
            level = "2" if kbits <= _MP3_CAREFUL_TO else "7"
            codec_options = {"compression_level": level, "reservoir": "0"}
            container_options = {"write_xing": "0", "id3v2_version": "0"}
            tagged = {"id3v2_version": "4", "metadata_header_padding": "0"}
            return _Setup(
                *("libmp3lame", "mp3", "fltp", True, codec_options, container_options),
                tagged=tagged,
            )
        case AudioFormat.OPUS:
            # By default the muxer's pages last a second. Unconstrained, libopus uses up to a sixth more
            # than asked; its voip mode keeps the rate no better and cuts low frequencies.
            codec_options = {"application": "audio", "vbr": "constrained", "frame_duration": "20"}
            return _Setup("libopus", "ogg", "flt", False, codec_options, {"page_duration": "20000"})
        case AudioFormat.AAC:
            # Readers recognise ADTS by three frames: two of sound and the start delay.
            coder = "fast" if kbits >= _AAC_FAST_FROM else "twoloop"
            # ADTS has no place for tags; as before MP3, readers skip an ID3v2 that stands before it.
            tagged = {"write_id3v2": "1"}
            return _Setup(
                *("aac", "adts", "fltp", True, {"aac_coder": coder}),
                least=2 * 1024,
                tagged=tagged,
            )
        case _:
            raise ValueError(f"{audio_format} has no codec")


class _Stream:
    """An open FFmpeg encoder and muxer for one channel."""

    def __init__(
        self, setup: _Setup, sample_rate: int, kbits: int | None, provenance: Provenance | None
    ) -> None:
        self.sink = Sink()
        tagged = {} if provenance is None else setup.tagged
        self._container = av.open(
            self.sink,
            "w",
            format=setup.container,
            container_options={"flush_packets": "1", **setup.container_options, **tagged},
        )
        if provenance is not None:
            self._container.metadata.update(provenance.tags)
        stream = self._container.add_stream(
            setup.codec, rate=sample_rate, layout="mono", options=setup.codec_options
        )
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        context = stream.codec_context
        context.format = av.AudioFormat(setup.sample_format)
        context.thread_count = 1
        if kbits:
            context.bit_rate = 1000 * kbits

    @property
    def frame_size(self) -> int:
        """Samples in a packet."""
        return self._stream.codec_context.frame_size

    def write(self, frame: av.AudioFrame | None) -> list[Packet[Any]]:
        """Encode and mux a frame, or end the stream if it is None. Returns the packets written."""
        packets = self._stream.encode(frame)
        for packet in packets:
            self._container.mux(packet)
        if frame is None:
            self._container.close()
        return packets


class PacketCodec:
    """One stream of a codec in its container. Each packet leaves as soon as the codec returns it.

    FFmpeg's objects are made when the first samples come, so that the constructor takes no time.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        sample_rate: int,
        kbits: int | None,
        provenance: Provenance | None = None,
    ) -> None:
        self._provenance = provenance
        self._setup = _setup(audio_format, sample_rate, kbits or 0)
        self._sample_rate = sample_rate
        self._kbits = kbits
        self._time_base = Fraction(1, sample_rate)
        self._stream: _Stream | None = None
        self._position = 0  # samples given to the codec
        self._decodable = 0  # samples that a decoder makes of the packets so far
        self._returned = 0  # samples of the results so far

    def encode(self, samples: Samples) -> Encoded:
        if not len(samples):
            return NOTHING
        step = self._sample_rate // _PIECES_PER_SECOND
        if self._stream is None:
            self._stream = _Stream(self._setup, self._sample_rate, self._kbits, self._provenance)
            with on_one_cpu():
                self._count(self._stream, self._stream.write(self._frame(samples[:step])))
            samples = samples[step:]
        for begin in range(0, len(samples), step):
            frame = self._frame(samples[begin : begin + step])
            self._count(self._stream, self._stream.write(frame))
        return self._result(self._stream)

    def flush(self) -> Encoded:
        if self._stream is None:
            return NOTHING
        missing = self._setup.least - self._position
        if missing > 0:
            silence = self._frame(np.zeros(missing, np.float32))
            self._count(self._stream, self._stream.write(silence))
        self._count(self._stream, self._stream.write(None))
        return self._result(self._stream)

    def _frame(self, samples: Samples) -> av.AudioFrame:
        row = np.clip(samples, -1.0, 1.0).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(row, format=self._setup.sample_format, layout="mono")
        frame.sample_rate = self._sample_rate
        frame.time_base = self._time_base
        frame.pts = self._position
        self._position += len(samples)
        return frame

    def _count(self, stream: _Stream, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            if self._setup.whole_frames:
                self._decodable += stream.frame_size
            elif packet.pts is not None and packet.duration is not None:
                end = (packet.pts + packet.duration) * packet.time_base * self._sample_rate
                self._decodable = round(end)

    def _result(self, stream: _Stream) -> Encoded:
        """The bytes since the last result, or NOTHING if they hold no sound, as a header does."""
        new = self._decodable - self._returned
        if new <= 0:
            return NOTHING
        self._returned = self._decodable
        return Encoded(stream.sink.take(), new / self._sample_rate)
