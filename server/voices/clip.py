"""What makes an uploaded file a usable clip: the limits, and the checks on its sound.

File names play no role. What a file says of itself, such as its length, is only a hint: the decoded
samples count, and decoding stops soon after the longest clip that is allowed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np

from cosyserve.engine.interface import Samples
from cosyserve.protocol.errors import InvalidAudio, InvalidParameter, PayloadTooLarge

from .decode import AudioFile, OtherFile, decode_file, identify, sound_begin

TAKEN: Final = "WAV, MP3, FLAC, Ogg, M4A, AAC, WebM, AIFF, CAF or raw 16-bit little-endian mono PCM"
PCM_RATE: Final = 16000
PCM_RATES: Final = (8000, 48000)

_LENGTH_SLACK: Final = 0.1  # seconds that a codec may add to a clip of exactly the longest length
_SILENT_RMS: Final = 1e-3  # -60 dB: the loudest 20 ms of an empty room
_NOISE_RMS: Final = 0.5
_NOISE_CORRELATION: Final = 0.2


class _ClipSettings(Protocol):
    @property
    def min_reference_seconds(self) -> float: ...
    @property
    def max_reference_seconds(self) -> float: ...
    @property
    def max_upload_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """Limits of a clip: seconds of sound, bytes of the file."""

    min_seconds: float
    max_seconds: float
    max_bytes: int

    @classmethod
    def of(cls, settings: _ClipSettings) -> Self:
        return cls(
            settings.min_reference_seconds,
            settings.max_reference_seconds,
            int(settings.max_upload_bytes),
        )


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip after decoding: mono within +-1, at the file's own sample rate."""

    samples: Samples
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate


def decode_clip(data: bytes, pcm_rate: int | None, limits: ClipLimits) -> Clip:
    """Decode and check an uploaded file. Takes long: call it off the event loop.

    pcm_rate: Hz of raw PCM, 16000 if None; ignored for other files.
    Raises InvalidAudio (no audio, damaged, too short or long, silent), PayloadTooLarge and, for the
    rate, InvalidParameter.
    """
    if len(data) > limits.max_bytes:
        raise PayloadTooLarge(f"file: {len(data)} bytes; allowed: at most {limits.max_bytes}")
    if not data:
        raise InvalidAudio("file: it is empty")
    most = limits.max_seconds + _LENGTH_SLACK
    data = data[sound_begin(data) :]
    match identify(data):
        case OtherFile(name):
            raise InvalidAudio(f"file: it is {name}; allowed: {TAKEN}")
        case AudioFile() as kind:
            clip = Clip(*decode_file(data, kind, most))
        case None:
            clip = _decode_pcm(data, pcm_rate, most)
    return judge(clip, limits)


def judge(clip: Clip, limits: ClipLimits) -> Clip:
    """The clip, scaled down if it exceeds full scale. Raises InvalidAudio if it cannot be a reference."""
    seconds = clip.seconds
    if seconds < limits.min_seconds:
        raise InvalidAudio(
            f"file: {seconds:.2f} s of sound is too short; allowed: {_allowed(limits)}"
        )
    if seconds > limits.max_seconds + _LENGTH_SLACK:
        # The whole length is unknown: decoding stopped at the limit.
        raise InvalidAudio(
            f"file: more than {limits.max_seconds:g} s of sound; allowed: {_allowed(limits)}"
        )
    if not np.isfinite(clip.samples).all():
        raise InvalidAudio("file: it has samples that are not finite numbers")
    loudest = _loudest(clip)
    if loudest < _SILENT_RMS:
        decibels = f"{20 * np.log10(loudest):.0f} dB" if loudest > 0 else "nothing"
        raise InvalidAudio(
            f"file: it is silent; its loudest moment is {decibels}, and at least "
            f"{20 * np.log10(_SILENT_RMS):.0f} dB of full scale is needed"
        )
    peak = float(max(clip.samples.max(), -clip.samples.min()))
    return Clip(clip.samples / np.float32(peak), clip.sample_rate) if peak > 1 else clip


def content_id(clip: Clip, text: str) -> str:
    """A digest of the sound, as 16-bit samples with their rate, and of its transcript."""
    words = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(f"{clip.sample_rate} {len(words)}\n".encode())
    digest.update(words)
    # Second by second: a copy of the whole clip would double the memory.
    for begin in range(0, len(clip.samples), clip.sample_rate):
        part = clip.samples[begin : begin + clip.sample_rate]
        digest.update(np.rint(part * np.float32(32767)).astype("<i2").tobytes())
    return digest.hexdigest()


def prompt_id(owner: str | None, content: str) -> str:
    """What engines know the voice of a clip by: its content_id, and whose it is unless all share it.

    So the time that a voice takes does not tell one tenant that another has uploaded the same clip.
    """
    if owner is None:
        return content
    whose = owner.encode("utf-8", "surrogatepass")
    return hashlib.sha256(f"{len(whose)} {content}\n".encode() + whose).hexdigest()


def _allowed(limits: ClipLimits) -> str:
    return f"{limits.min_seconds:g} to {limits.max_seconds:g} s"


def _loudest(clip: Clip) -> float:
    """The RMS of the loudest 20 ms."""
    window = min(clip.sample_rate // 50, len(clip.samples))
    rows = clip.samples[: len(clip.samples) // window * window].reshape(-1, window)
    # Sums of squares in float64, without a float64 copy of the clip.
    energies = np.einsum("ij,ij->i", rows, rows, dtype=np.float64, casting="safe")
    return float(np.sqrt(energies.max() / window))


def _decode_pcm(data: bytes, pcm_rate: int | None, most_seconds: float) -> Clip:
    """Raw PCM. Reads only as much as is needed to see that it is too long."""
    rate = PCM_RATE if pcm_rate is None else pcm_rate
    low, high = PCM_RATES
    if not low <= rate <= high:
        raise InvalidParameter(f"sample_rate: {rate} is not allowed; allowed: {low} to {high}")
    if len(data) % 2:
        raise InvalidAudio(
            f"file: no known audio format, and not 16-bit PCM either: its {len(data)} bytes are an odd"
            f" number; allowed: {TAKEN}"
        )
    most = int(most_seconds * rate) + 1
    samples = np.frombuffer(data, "<i2")[:most].astype(np.float32) / np.float32(32768)
    if _is_noise(samples):
        raise InvalidAudio(
            f"file: no known audio format, and as 16-bit PCM it is noise; allowed: {TAKEN}"
        )
    return Clip(samples, rate)


def _is_noise(samples: Samples) -> bool:
    """Whether the bytes look random, as those of compressed and encrypted files do.

    Neighbouring samples of speech are correlated; random ones are loud and uncorrelated.
    """
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    alike = float(np.mean(samples[1:].astype(np.float64) * samples[:-1])) if len(samples) > 1 else 0
    return power > _NOISE_RMS**2 and abs(alike) < _NOISE_CORRELATION * power
