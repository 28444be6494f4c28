"""Stage `data`: every text spoken by a teacher, some of the speech by shifted voices too, and the features.

The shards are independent of each other: those that are there are kept, and several processes make the rest.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from cosyserve.engine.cosyvoice.config import SAMPLE_RATE, TOKEN_RATE

from ..recipe import Recipe
from ..work import WorkFolder
from .shards import (
    TOKEN_SAMPLES,
    Corpus,
    PitchMeter,
    Recording,
    has_shard,
    whole_tokens,
    write_shard,
)
from .teachers import TEACHERS, Phonemizer, Teacher, TeacherError, Wave, installed, phonemizer
from .texts import SENTENCES, lines, sentences
from .world import SHIFTS, Shift, pitch, shifted

STAGE: Final = "data"
_SHARD: Final = 32
"""Texts in a shard."""
_NUMBERS: Final = len(SHIFTS) + 1
"""Numbers kept for a text: of the original and of all copies that there may be."""
_LOUDNESS: Final = 0.07
"""Root mean square that all speech is brought to, unless its peak would be above _PEAK."""
_PEAK: Final = 0.95
_PACE: Final = (4.0, 30.0)
"""Phonemes a second: what is outside is no whole speech of its text."""
_SHORTEST: Final = 0.4
_LONGEST: Final = 12.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Voices:
    """Who speaks, how words are said, and what measures and shifts speech. make, phonemizer: called in the
    process that uses what they return. All of it can be sent to another process.
    """

    names: tuple[str, ...]
    make: Callable[[str], Teacher]
    phonemizer: Callable[[], Phonemizer]
    pitch: PitchMeter = pitch
    shifted: Callable[[Wave, Shift], Wave] = shifted


def installed_voices(names: Sequence[str] | None) -> Voices:
    """These teachers, or all that are installed. Raises TeacherError."""
    there = installed()
    missing = sorted(set(names or ()) - set(there))
    if missing:
        raise TeacherError(f"not installed: {', '.join(missing)}; see training/README.md")
    if not there:
        raise TeacherError("no teacher is installed; see training/README.md")
    return Voices(tuple(names or there), _teacher, phonemizer)


def _teacher(name: str) -> Teacher:
    return TEACHERS[name]()


def run(
    work: WorkFolder,
    recipe: Recipe,
    voices: Voices,
    *,
    workers: int = 1,
    texts: Path = SENTENCES,
) -> dict[str, Any]:
    """Make the corpus. Raises TeacherError, OSError."""
    folder = work.folder(STAGE)
    spoken = lines(recipe.sentences, sentences(texts))
    count = -(-len(spoken) // _SHARD)
    due = [index for index in range(count) if not has_shard(folder, index)]
    make = partial(_make_shard, folder, recipe, voices, spoken)
    log = work.log(STAGE)
    if workers == 1:
        for index in due:
            log.write(shard=index, of=count, seconds=make(index))
    else:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (1,)) as pool:
            for index, seconds in zip(due, pool.map(make, due), strict=True):
                log.write(shard=index, of=count, seconds=seconds)
    corpus = Corpus(folder)
    seconds = sum(u.tokens for u in corpus.recordings) / TOKEN_RATE
    return {
        "recordings": len(corpus.recordings),
        "originals": sum(u.original for u in corpus.recordings),
        "held_out": len(corpus.held_out),
        "voices": len(corpus.voices),
        "hours": seconds / 3600,
    }


def _make_shard(
    folder: Path, recipe: Recipe, voices: Voices, spoken: list[str], index: int
) -> float:
    """Seconds of speech made."""
    made: list[tuple[Recording, Wave]] = []
    for place in range(index * _SHARD, min(len(spoken), (index + 1) * _SHARD)):
        made += _spoken(place, spoken[place], recipe, voices)
    write_shard(folder, index, made, voices.pitch)
    return sum(len(wave) for _, wave in made) / SAMPLE_RATE


def _spoken(place: int, text: str, recipe: Recipe, voices: Voices) -> list[tuple[Recording, Wave]]:
    """The text by one teacher, and by shifted voices; nothing if the speech cannot be all of the text."""
    choice = random.Random(place)
    cast, say_words = _cast(voices)
    [teacher] = choice.choices(cast, [teacher.share for teacher in cast])
    words = tuple(say_words(text))
    wave = whole_tokens(_levelled(teacher.speak(text, place)))
    seconds, phonemes = len(wave) / SAMPLE_RATE, sum(map(len, words))
    if not (_SHORTEST <= seconds <= _LONGEST and _PACE[0] <= phonemes / seconds <= _PACE[1]):
        return []
    number, held_out = place * _NUMBERS, place < recipe.held_out
    tokens = len(wave) // TOKEN_SAMPLES
    made = [(Recording(number, text, words, teacher.name, number, tokens, held_out), wave)]
    count = int(recipe.copies) + (choice.random() < recipe.copies % 1)
    for offset in choice.sample(range(len(SHIFTS)), count):
        shift = SHIFTS[offset]
        copy = number + 1 + offset
        voice = f"{teacher.name}-{shift.name}"
        recording = Recording(copy, text, words, voice, number, tokens, held_out)
        made.append((recording, _levelled(voices.shifted(wave, shift))))
    return made


@cache
def _cast(voices: Voices) -> tuple[list[Teacher], Phonemizer]:
    """The teachers, loaded once a process."""
    return [voices.make(name) for name in voices.names], voices.phonemizer()


def _levelled(wave: Wave) -> Wave:
    if not len(wave):
        return wave
    gain = _LOUDNESS / max(1e-6, float(np.sqrt(np.mean(wave**2))))
    gain = min(gain, _PEAK / max(1e-6, float(np.abs(wave).max())))
    made: Wave = (wave * gain).astype(np.float32)
    return made
