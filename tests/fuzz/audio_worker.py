"""The process in which sound of a fuzzer is decoded and encoded: it may crash.

Cases come on standard input, each behind its length in four bytes; outcomes go back as JSON in the same way.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
from pydantic import ValidationError

from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.parameters import AudioFormat, SpeechParameters
from cosyserve.server.audio import SIZED_HEAD, Encoded, sized_head
from cosyserve.server.voices.clip import ClipLimits, content_id, decode_clip
from support.listening.audio import Floats, decode, speechlike
from support.listening.encoding import encode, joined

from .harness import SEPARATOR, Outcome, TooMuchWork, bounded_work, unexpected, without_values

LIMITS: Final = ClipLimits(0.1, 5.0, 1024 * 1024)
_SECONDS: Final = 20.0
"""Processor time of a case, which takes some tens of milliseconds."""
_SPARE: Final = 64 * 1024 * 1024
"""Bytes that libraries may take beside what `ClipLimits.decoded_bytes` allows."""
_MOST_MEMORY: Final = 4 * 1024**3
"""Address space of the process: what asks for more gets a MemoryError."""
_STRAY: Final = 0.002
"""Seconds by which an encoder's account of its stream may be wrong."""


class _Broken(Exception):
    """Something that must hold does not."""


def _clip(records: Sequence[bytes]) -> str:
    options, data = records[0], SEPARATOR.join(records[1:])
    rate = int(options) if options.isdigit() and len(options) < 10 else None
    try:
        clip = decode_clip(data, rate, LIMITS)
    except TTSError as error:
        if not error.message.startswith(("file: ", "sample_rate: ")):
            raise _Broken(
                f"an error does not name what is wrong: {error.message[:200]!r}"
            ) from None
        return f"{type(error).__name__} {without_values(error.message)[:100]}"
    if not LIMITS.min_seconds <= clip.seconds <= LIMITS.max_seconds + 0.1:
        raise _Broken(f"a clip of {clip.seconds} s is let in")
    if not np.isfinite(clip.samples).all() or np.abs(clip.samples).max() > 1:
        raise _Broken("a clip's samples are not all within +-1")
    content_id(clip, "words")
    return f"clip {clip.sample_rate} {data[:4]!r}"


def _encode(records: Sequence[bytes]) -> str:
    asked: dict[str, Any] = orjson.loads(records[0])
    try:
        parameters = SpeechParameters.model_validate(
            {"mode": "fast_replication", "reference_audio_id": "a", **asked["parameters"]}
        )
    except ValidationError:
        return "no case"
    sound = _sound(asked["sound"], asked["rate"], asked["seconds"])
    results = encode(
        sound,
        asked["sizes"],
        asked["rate"],
        asked["engine_speed"],
        asked["engine_speed"],
        **asked["parameters"],
    )
    _check_stream(joined(results), results, parameters)
    return (
        f"{parameters.output_format} {parameters.sample_rate} {len(results) > 1} {bool(len(sound))}"
    )


def _check_stream(data: bytes, results: list[Encoded], parameters: SpeechParameters) -> None:
    if any((result.seconds > 0) != bool(result.data) for result in results):
        raise _Broken("bytes without sound, or sound without bytes")
    told = sum(result.seconds for result in results)
    if not data:
        return
    audio_format, rate = parameters.output_format, parameters.sample_rate
    demuxer = "mp3" if audio_format is AudioFormat.MP3 else None
    samples, found = decode(data, audio_format.value, rate, demuxer=demuxer)
    if abs(len(samples) / found - told) > _STRAY:
        raise _Broken(f"{told} s are told of a stream of {len(samples) / found} s")
    if not np.isfinite(samples).all():
        raise _Broken("an encoded sample is no number")
    if "wav" in audio_format or audio_format is AudioFormat.FLAC:
        head = sized_head(data[:SIZED_HEAD], audio_format, len(data), len(samples))
        again, _ = decode(head + data[SIZED_HEAD:], audio_format.value, rate)
        if len(again) != len(samples):
            raise _Broken("with its length in the head, a stream has another length")


def _sound(kind: str, rate: int, seconds: float) -> Floats:
    sound = speechlike(rate, seconds)
    rng = np.random.default_rng(len(sound))
    match kind:
        case "noise":
            return rng.standard_normal(len(sound)).astype(np.float32)
        case "silence":
            return np.zeros_like(sound)
        case "loud":
            return sound * np.float32(1e6)
        case "broken":
            sound[:: max(1, len(sound) // 7)] = np.float32("nan")
            sound[1 :: max(1, len(sound) // 5)] = np.float32("inf")
            return sound
        case "tiny":
            return sound * np.float32(1e-38)
        case _:
            return sound


_TARGETS: Final[dict[bytes, Callable[[Sequence[bytes]], str]]] = {
    b"clip": _clip,
    b"encode": _encode,
}


def _checked(case: bytes) -> Outcome:
    target, *records = case.split(SEPARATOR)
    read = _TARGETS.get(target)
    if read is None or not records:
        return Outcome("no case")
    name = target.decode()
    before = _status("VmRSS")
    _forget_peak()
    try:
        with bounded_work(_SECONDS):
            kind = read(records)
    except (_Broken, TooMuchWork) as broken:
        return Outcome(name, f"{name}: {broken}")
    except Exception as error:
        return Outcome(name, f"{name}: {unexpected(error)}")
    taken = _status("VmHWM") - before
    if target == b"clip" and taken > LIMITS.decoded_bytes + _SPARE:
        return Outcome(name, f"{name}: it takes {taken >> 20} MiB of memory")
    return Outcome(f"{name} {kind}")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Bytes, by proc(5)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _read(source: BinaryIO) -> bytes | None:
    head = source.read(4)
    return source.read(int.from_bytes(head, "big")) if len(head) == 4 else None


def main() -> None:
    faulthandler.enable()
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (case := _read(sys.stdin.buffer)) is not None:
        told = orjson.dumps(_checked(case))
        sys.stdout.buffer.write(len(told).to_bytes(4, "big") + told)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
