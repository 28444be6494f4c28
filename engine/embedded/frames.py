"""The protocol between the engine and its workers: length-prefixed frames of numbers, text and PCM.

Both ends import this module, and a worker must start fast, so it uses only light parts of the
standard library: named tuples instead of dataclasses.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

SAMPLE_RATE = 24000
"""Hz of the sound in frames, whichever synthesiser it is from."""

_HEAD = struct.Struct("<IB")
_JOB = struct.Struct("<IIHHHHIIBBBHH")
_NATURAL = struct.Struct("<fffff?")
_NUMBER = struct.Struct("<I")
_SOUND = struct.Struct("<IfH")
_WORD = struct.Struct("<III")
_STRETCH = struct.Struct("<II")
_TOLD = struct.Struct("<IIHH")
_DONE = struct.Struct("<IfB")
_LONGEST_BODY = 1 << 26


class FrameKind(IntEnum):
    """To the worker: JOB, STOP, QUIT. From it: READY, SOUND, DONE, FAILED."""

    JOB = 1
    STOP = 2
    READY = 3
    SOUND = 4
    DONE = 5
    FAILED = 6
    QUIT = 7


class NaturalProsody(NamedTuple):
    """How the natural voice speaks: factors on its own pace, F0, range of F0, formants and level."""

    speed: float
    pitch: float
    pitch_range: float
    formants: float
    volume: float
    whisper: bool


class ToldSounds(NamedTuple):
    """text[begin:end] of a job is spoken like this, as each synthesiser reads it. Both empty: not at all."""

    begin: int
    end: int
    espeak: str
    natural: str


class JobFrame(NamedTuple):
    """Text to speak, with espeak-ng unless it says `natural`.

    rate: words a minute. pitch, pitch_range: 0 to 99. volume: 0 to 200. seed: of the breath noise.
    skip: samples to leave out, which an earlier slice of the job gave. limit: samples after which to
    stop although there is more, 0 for none. first: whether the task begins with this sound.
    words: the words (begin, end) to time, in code points of `text`, in order and disjoint. sounds: those of
    words whose pronunciation is told, likewise. natural: asks for the natural voice, which needs none of
    rate, pitch, pitch_range and volume unless espeak-ng must stand in, and knows no `limit`: its
    first sample costs nearly as much as all of them.
    """

    number: int
    voice: str
    text: str
    rate: int
    pitch: int
    pitch_range: int
    volume: int
    seed: int = 1
    skip: int = 0
    limit: int = 0
    first: bool = False
    words: tuple[tuple[int, int], ...] = ()
    sounds: tuple[ToldSounds, ...] = ()
    natural: NaturalProsody | None = None


class SpokenWord(NamedTuple):
    """A word and its time. begin, end: samples from the start of the job. word: index in its `words`."""

    begin: int
    end: int
    word: int


class SoundFrame(NamedTuple):
    """16-bit little-endian mono PCM of a job, and the seconds of work since its last frame."""

    number: int
    seconds: float
    words: tuple[SpokenWord, ...]
    pcm: bytes


class DoneFrame(NamedTuple):
    """The end of a job or of a slice of it. complete: whether all of its text is spoken. seconds: of work."""

    number: int
    seconds: float
    complete: bool


def pack_job(job: JobFrame) -> bytes:
    voice, text = job.voice.encode(), job.text.encode()
    head = _JOB.pack(
        job.number,
        job.seed,
        job.rate,
        job.pitch,
        job.pitch_range,
        job.volume,
        job.skip,
        job.limit,
        job.first,
        job.natural is not None,
        len(voice),
        len(job.words),
        len(job.sounds),
    )
    natural = _NATURAL.pack(*job.natural) if job.natural else b""
    words = b"".join(_STRETCH.pack(*word) for word in job.words)
    sounds = b"".join(map(_pack_told, job.sounds))
    return _frame(FrameKind.JOB, head + natural + voice + words + sounds + text)


def unpack_job(body: bytes) -> JobFrame:
    number, seed, *numbers, first, natural, length, count, told = _JOB.unpack_from(body)
    rate, pitch, pitch_range, volume, skip, limit = numbers
    voice_at = _JOB.size + _NATURAL.size * natural
    words_at = voice_at + length
    at = words_at + count * _STRETCH.size
    sounds = []
    for _ in range(told):
        each, at = _unpack_told(body, at)
        sounds.append(each)
    return JobFrame(
        number=number,
        voice=body[voice_at:words_at].decode(),
        text=body[at:].decode(),
        rate=rate,
        pitch=pitch,
        pitch_range=pitch_range,
        volume=volume,
        seed=seed,
        skip=skip,
        limit=limit,
        first=bool(first),
        words=tuple(_STRETCH.iter_unpack(body[words_at : words_at + count * _STRETCH.size])),
        sounds=tuple(sounds),
        natural=NaturalProsody(*_NATURAL.unpack_from(body, _JOB.size)) if natural else None,
    )


def _pack_told(told: ToldSounds) -> bytes:
    espeak, natural = told.espeak.encode(), told.natural.encode()
    return _TOLD.pack(told.begin, told.end, len(espeak), len(natural)) + espeak + natural


def _unpack_told(body: bytes, at: int) -> tuple[ToldSounds, int]:
    """The sounds that are packed at this place, and where they end."""
    begin, end, *lengths = _TOLD.unpack_from(body, at)
    at += _TOLD.size
    espeak_end = at + lengths[0]
    natural_end = espeak_end + lengths[1]
    espeak, natural = body[at:espeak_end].decode(), body[espeak_end:natural_end].decode()
    return ToldSounds(begin, end, espeak, natural), natural_end


def pack_stop(number: int) -> bytes:
    return _frame(FrameKind.STOP, _NUMBER.pack(number))


def pack_quit() -> bytes:
    return _frame(FrameKind.QUIT, b"")


def unpack_number(body: bytes) -> int:
    """Unpack the number that STOP, READY (the sample rate) or FAILED carries."""
    return int(_NUMBER.unpack_from(body)[0])


def pack_ready(sample_rate: int) -> bytes:
    return _frame(FrameKind.READY, _NUMBER.pack(sample_rate))


def pack_failed(number: int) -> bytes:
    return _frame(FrameKind.FAILED, _NUMBER.pack(number))


def pack_sound(sound: SoundFrame) -> bytes:
    head = _SOUND.pack(sound.number, sound.seconds, len(sound.words))
    return _frame(
        FrameKind.SOUND, b"".join([head, *(_WORD.pack(*w) for w in sound.words), sound.pcm])
    )


def unpack_sound(body: bytes) -> SoundFrame:
    number, seconds, count = _SOUND.unpack_from(body)
    pcm_at = _SOUND.size + count * _WORD.size
    words = tuple(map(SpokenWord._make, _WORD.iter_unpack(body[_SOUND.size : pcm_at])))
    return SoundFrame(number, seconds, words, body[pcm_at:])


def pack_done(done: DoneFrame) -> bytes:
    return _frame(FrameKind.DONE, _DONE.pack(*done))


def unpack_done(body: bytes) -> DoneFrame:
    number, seconds, complete = _DONE.unpack(body)
    return DoneFrame(number, seconds, bool(complete))


class FrameReader:
    """Assembles frames from a stream of bytes that may be cut anywhere."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """Take some bytes; return the frames that they complete. Raises ValueError on garbage."""
        self._data += data
        frames = []
        at = 0
        while len(self._data) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._data, at)
            if length > _LONGEST_BODY:
                raise ValueError(f"a frame of {length} bytes")
            end = at + _HEAD.size + length
            if len(self._data) < end:
                break
            frames.append((FrameKind(kind), bytes(self._data[at + _HEAD.size : end])))
            at = end
        del self._data[:at]
        return frames


def _frame(kind: FrameKind, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body
