"""Sounds, files and independent decoders for tests."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def speechlike(sample_rate: int, seconds: float, pitch: float = 130.0, seed: int = 0) -> Floats:
    """A buzz with the rise and fall of syllables and some hiss; peaks at about 0.5."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(sample_rate * seconds)) / sample_rate
    harmonics = range(1, int(min(sample_rate / 2.5, 4000) / pitch))
    buzz = sum(np.sin(2 * np.pi * pitch * k * t + 1.7 * k * k) / k for k in harmonics)
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)
    sound = syllables * (0.12 * buzz + 0.02 * rng.standard_normal(len(t)))
    return np.asarray(sound, np.float32)


def decode(
    data: bytes, audio_format: str, sample_rate: int, *, demuxer: str | None = None
) -> tuple[Floats, int]:
    """Samples and rate of encoded bytes, as FFmpeg reads them; raw sound needs its rate told.

    demuxer: for bytes that FFmpeg does not recognise, such as a fifth of a second of MP3.
    """
    if audio_format == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768, sample_rate
    pieces: list[Floats] = []
    options = {}
    if audio_format in ("ulaw", "alaw"):
        demuxer = {"ulaw": "mulaw", "alaw": "alaw"}[audio_format]
        options = {"sample_rate": str(sample_rate)}
    with av.open(io.BytesIO(data), "r", format=demuxer, options=options) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            raw: npt.NDArray[Any] = frame.to_ndarray()
            scale = 32768 if raw.dtype == np.int16 else 1
            pieces.append(np.asarray(raw.reshape(-1) / scale, np.float32))
        return np.concatenate(pieces), stream.codec_context.sample_rate


def make_file(
    samples: Floats,
    sample_rate: int,
    container: str,
    codec: str,
    layout: str = "mono",
    *,
    fflags: str = "",
    **options: str,
) -> bytes:
    """A file as FFmpeg writes it; for several channels each has the same samples.

    fflags: flags of the muxer's; with "bitexact" the file is the same each time.
    """
    out = io.BytesIO()
    of_container = {"fflags": fflags} if fflags else {}
    with av.open(out, "w", format=container, container_options=of_container) as file:
        stream = file.add_stream(codec, rate=sample_rate, layout=layout, options=options)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = sample_rate
        resampler = av.AudioResampler(stream.codec_context.format, layout, sample_rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


def median_pitch(samples: Floats, sample_rate: int) -> float:
    """The fundamental in Hz, by autocorrelation of 40 ms frames."""
    size, low, high = int(0.04 * sample_rate), sample_rate // 400, sample_rate // 60
    found = []
    for begin in range(0, len(samples) - size, size):
        piece = samples[begin : begin + size] * np.hanning(size)
        likeness = np.fft.irfft(np.abs(np.fft.rfft(piece, 2 * size)) ** 2)[:size]
        if likeness[0] > 1e-3:
            found.append(sample_rate / (low + int(np.argmax(likeness[low:high]))))
    return float(np.median(found))


def delay_of(samples: Floats, of: Floats, most: int) -> int:
    """By how many samples `samples` lags `of`, 0 to `most`."""
    size = min(len(of), len(samples) - most)
    return max(range(most + 1), key=lambda lag: float(np.dot(samples[lag : lag + size], of[:size])))
