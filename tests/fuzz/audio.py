"""Sound: files that are uploaded, through the decoding of clips, and speech through the encoders.

A case's first record is `clip`, before the rate of raw PCM and the file, or `encode`, before what is encoded
and how, in JSON. A clip is within its limits, or the error says what is wrong with it; memory and work are
bounded; an encoder's stream has the length that it tells. The libraries are native, so all of it runs in
another process: a crash is a finding like any other.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Final, Self

import orjson

from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat
from support.listening.audio import make_file, speechlike
from support.peers.uploads import FILES, wav

from .harness import SEPARATOR, Outcome
from .mutation import mutated_bytes

PATIENCE: Final = 120.0
"""Seconds for a case, whatever else the machine does."""
_RATE: Final = 16000
_SOUND: Final = speechlike(_RATE, 0.4)
_WORDS: Final = (
    b"RIFF", b"RIFX", b"RF64", b"BW64", b"WAVE", b"fmt ", b"data", b"fact", b"ds64", b"LIST", b"JUNK",
    b"id3 ", b"OggS", b"OpusHead", b"OpusTags", b"fLaC", b"ID3\x04\0\0", b"TAG", b"Xing", b"Info",
    b"APETAGEX", b"caff", b"ftypM4A ", b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stsz", b"stsc",
    b"stco", b"mdat", b"esds", b"alac", b"moof", b"traf", b"trun", b"edts", b"FORM", b"COMM", b"SSND",
    b"AIFF", b"pakt", b"kuki", b"desc", b"chan", b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x16T\xaek",
    b"\x1fC\xb6u", b"\xa3", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"\xfe\xff", b"\xff" * 8,
    b"\0" * 16, b"\x80" + b"\0" * 7, b"#EXTM3U\n", b"http://127.0.0.1/", b"file:///etc/x",
)  # fmt: skip


_SIGNATURES: Final = (
    b"RIFF\xff\xff\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"ID3\x03\0",
    b"\xff\xfb\x90", b"\xff\xf1\x50", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\0\0\0\x18ftypM4A ",
    b"\x1aE\xdf\xa3", b"",
)  # fmt: skip


class AudioFuzzer:
    """See the module."""

    name = "audio"
    cases = 3000
    batch = 10
    shrinking = 60
    repeatable = True

    def __init__(self, worker: Sequence[str] = (sys.executable, "-m", "fuzz.audio_worker")) -> None:
        self._command = worker

    def __enter__(self) -> Self:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # to the end of the fuzzer
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()
        self._errors.close()

    def seeds(self) -> Sequence[bytes]:
        return [SEPARATOR.join(records) for records in _seeds()]

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        target, options, data = _cut(case)
        if target == b"encode":
            return SEPARATOR.join((target, orjson.dumps(_encoding(rng))))
        if rng.random() < 0.1:
            options = rng.choice((b"", b"8000", b"48000", b"0", b"999999999", b"44100"))
        _, _, more = _cut(other)
        if rng.random() < 0.15:
            at = rng.randint(0, len(data))
            data = data[:at] + more[rng.choice((0, rng.randint(0, len(more)))) :]
        return SEPARATOR.join((target, options, mutated_bytes(data, rng, _WORDS)))

    def check(self, cases: Sequence[bytes]) -> list[Outcome]:
        return [self._check(case) for case in cases]

    def _check(self, case: bytes) -> Outcome:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        try:
            self._worker.stdin.write(len(case).to_bytes(4, "big") + case)
            self._worker.stdin.flush()
            if not select.select([self._worker.stdout], [], [], PATIENCE)[0]:
                return self._died("it hangs")
            if len(head := self._worker.stdout.read(4)) == 4:
                told = orjson.loads(self._worker.stdout.read(int.from_bytes(head, "big")))
                return Outcome(told["kind"], told["problem"])
        except BrokenPipeError:
            pass
        return self._died(None)

    def _died(self, why: str | None) -> Outcome:
        """The outcome of a case that ended its worker; begins another one."""
        self._end(kill=why is not None)
        self._errors.seek(0)
        told = self._errors.read()[-3000:].decode(errors="replace")
        problem = why or f"the process ends with {self._worker.returncode}"
        self._start()
        return Outcome("died", f"{problem}\n{told}")

    def _start(self) -> None:
        self._errors.seek(0)
        self._errors.truncate()
        self._worker = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def _end(self, *, kill: bool = False) -> None:
        if kill:
            self._worker.kill()
        for pipe in (self._worker.stdin, self._worker.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._worker.wait()


def _cut(case: bytes) -> tuple[bytes, bytes, bytes]:
    """Target, options and data; the data of one that is encoded is empty."""
    target, options, *rest = case.split(SEPARATOR, 2)
    return target, options, rest[0] if rest else b""


def _encoding(rng: random.Random) -> dict[str, Any]:
    """Any way to encode something."""
    parameters = {
        "output_format": rng.choice(list(AudioFormat)),
        "sample_rate": rng.choice(SAMPLE_RATES),
        "bit_rate": rng.choice(BIT_RATES),
        "volume": rng.choice((1.0, 0.001, 10.0, rng.uniform(0.1, 3.0))),
        "speed": rng.choice((1.0, 0.5, 2.0, rng.uniform(0.5, 2.0))),
        "pitch": rng.choice((1.0, 1.0, 0.5, 2.0, rng.uniform(0.5, 2.0))),
    }
    return {
        "parameters": parameters,
        "rate": rng.choice((24000, 22050, 16000, 48000, 8000)),
        "seconds": rng.choice((0.0, 0.0001, 0.01, 0.1, rng.uniform(0.0, 1.5))),
        "sound": rng.choice(("speech", "noise", "silence", "loud", "broken", "tiny")),
        "sizes": [rng.choice((1, 7, 480, 960, 4800, 24000)) for _ in range(rng.randint(1, 4))],
        "engine_speed": rng.random() < 0.3,
    }


def _seeds() -> list[tuple[bytes, ...]]:
    found = [
        (b"clip", b"", make_file(_SOUND, _RATE, container, codec, fflags="bitexact"))
        for container, codec in FILES.values()
    ]
    for layout in ("stereo", "5.1"):
        found.append((b"clip", b"", make_file(_SOUND, _RATE, "wav", "pcm_s16le", layout)))
        found.append((b"clip", b"", make_file(_SOUND, _RATE, "flac", "flac", layout)))
    noise = random.Random(1).randbytes(2000)
    found += [(b"clip", b"", head + noise) for head in _SIGNATURES]
    raw = (_SOUND * 32767).astype("<i2").tobytes()
    rng = random.Random(0)
    encodings = [(b"encode", orjson.dumps(_encoding(rng))) for _ in range(6)]
    return [*found, (b"clip", b"16000", raw), (b"clip", b"", wav(raw, channels=2)), *encodings]
