"""A training that takes seconds: two teachers that spell with tones, networks of a few thousand weights."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosyserve.engine.cosyvoice.config import MEL_HOP, LmConfig
from cosyserve.training.corpus.stage import Voices
from cosyserve.training.corpus.teachers import Phonemizer, Wave
from cosyserve.training.corpus.world import Shift
from cosyserve.training.recipe import CODES, Recipe
from cosyserve.training.schedule import Schedule
from support.engines.tiny_checkpoint import TINY

RATE: Final = 24000
_LETTER: Final = 1920
"""Samples that a letter takes: two codes' time."""
_HERTZ: Final = {"low": 110.0, "high": 220.0}
TEXTS: Final = (
    "the cat sat on the mat",
    "a dog ran in the rain",
    "she sees the sea",
    "he had a red hat",
    "ten men sat in a den",
    "rats eat the seeds",
    "the dean had tea",
    "a hen in the nest",
    "send the men ashore",
    "Dan has sand in his hand",
    "it is the end",
    "this is an inn",
)


def schedule(steps: int, batch: int = 4) -> Schedule:
    return Schedule(
        steps=steps, batch=batch, rate=3e-3, warm_up=2, log_every=2, save_every=4, seed=1
    )


RECIPE: Final = Recipe(
    sentences=len(TEXTS),
    held_out=3,
    copies=0.5,
    text_vocabulary=280,
    coder_width=24,
    coder_blocks=1,
    speaker_width=16,
    spoken=2,
    model=replace(
        TINY,
        lm=LmConfig(
            vocab_size=384,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            speech_token_size=CODES,
        ),
        flow=replace(TINY.flow, vocab_size=CODES, steps=2),
    ),
    tokenizer=schedule(12),
    speaker=schedule(8, batch=8),
    lm=schedule(12),
    flow=schedule(8, batch=2),
    vocoder=schedule(8, batch=2),
)


@dataclass(frozen=True)
class SpellingTeacher:
    """Says each letter as a tone of its own over the voice's pitch."""

    name: str
    share: float = 0.5

    def speak(self, text: str, seed: int) -> Wave:
        return np.concatenate([_tone(self.name, letter) for letter in text.lower()])


def _tone(voice: str, letter: str) -> Wave:
    times = np.arange(_LETTER) / RATE
    if not letter.isalpha():
        return np.zeros(_LETTER, np.float32)
    own = 500 + 150 * (ord(letter) - ord("a"))
    base = _HERTZ[voice]
    sound = np.sin(2 * np.pi * base * times) + 0.5 * np.sin(2 * np.pi * own * times)
    made: Wave = (0.2 * sound).astype(np.float32)
    return made


def spell(text: str) -> list[str]:
    return text.lower().split()


def phonemizer() -> Phonemizer:
    return spell


def steady_pitch(wave: Wave) -> NDArray[np.float32]:
    return np.full(len(wave) // MEL_HOP, 150.0, np.float32)


def hummed(wave: Wave, shift: Shift) -> Wave:
    """Another voice as far as this training can tell: with a hum of its own."""
    hum = np.sin(2 * np.pi * 300 * shift.pitch * np.arange(len(wave)) / RATE)
    made: Wave = (0.8 * wave + 0.05 * hum).astype(np.float32)
    return made


VOICES: Final = Voices(("high", "low"), SpellingTeacher, phonemizer, steady_pitch, hummed)


def write_texts(folder: Path) -> Path:
    path = folder / "texts.xz"
    path.write_bytes(lzma.compress("\n".join(TEXTS).encode() + b"\n"))
    return path
