"""The voices of this engine, and which of them is nearest to a given pitch."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from ..interface import BuiltinVoice
from .definitions import STEP, moved


@dataclass(frozen=True, slots=True)
class Variant:
    """A voice definition, one of definitions.DEFINITIONS.

    hertz: median F0 of English at pitch settings 0, 25, 50, 75 and 99, measured. volume: the setting
    at which it is as loud as the others.
    """

    name: str
    hertz: tuple[float, float, float, float, float]
    volume: int


@dataclass(frozen=True, slots=True)
class VoiceTraits:
    """A variant at a pitch setting, 0 to 99."""

    variant: Variant
    pitch: int


_SETTINGS: Final = (0, 25, 50, 75, 99)

FEMALE: Final = Variant("cosy-f1", (130, 158, 196, 251, 325), 78)
BREATHY: Final = Variant("cosy-f2", (131, 163, 206, 269, 352), 95)
MALE: Final = Variant("cosy-m1", (70, 83, 104, 133, 172), 86)
SONOROUS: Final = Variant("cosy-m2", (71, 85, 105, 136, 176), 82)
WHISPER: Final = Variant("cosy-w1", (409, 409, 409, 409, 409), 70)

_QUIETER_WHEN_HIGHER: Final = -0.65
"""The power of the pitch that goes into the volume, so that all pitches sound as loud. Measured as RMS
from 0.5 to 2."""

_FEMALE_FROM: Final = 150.0
"""Hz. The median F0 of most men is below it, that of most women and children above."""

_BUILTIN: Final = {
    "alba": ("Alba", "female", VoiceTraits(FEMALE, 50)),
    "bruno": ("Bruno", "male", VoiceTraits(MALE, 50)),
    "clara": ("Clara", "female", VoiceTraits(BREATHY, 50)),
    "diego": ("Diego", "male", VoiceTraits(SONOROUS, 60)),
    "emil": ("Emil", "male", VoiceTraits(MALE, 66)),
    "frieda": ("Frieda", "female", VoiceTraits(FEMALE, 72)),
    "georg": ("Georg", "male", VoiceTraits(MALE, 30)),
}

DEFAULT: Final = VoiceTraits(FEMALE, 50)
"""For a reference that has no pitch to measure."""

BUILTIN_VOICES: Final = tuple(
    BuiltinVoice(voice_id, name, gender) for voice_id, (name, gender, _) in _BUILTIN.items()
)


def builtin_traits(voice_id: str) -> VoiceTraits | None:
    """The built-in voice of this id, None if there is none."""
    entry = _BUILTIN.get(voice_id)
    return entry[2] if entry else None


def traits_for(f0: float | None) -> VoiceTraits:
    """The voice whose median F0 is nearest to `f0` Hz; the default voice for None."""
    if f0 is None:
        return DEFAULT
    variant = MALE if f0 < _FEMALE_FROM else FEMALE
    return VoiceTraits(variant, pitch_setting(variant, f0))


def pitch_setting(variant: Variant, f0: float) -> int:
    """The setting at which the variant's median F0 is `f0` Hz, or as near as it gets."""
    if f0 <= variant.hertz[0]:
        return _SETTINGS[0]
    index = bisect_left(variant.hertz, f0)
    if index == len(variant.hertz):
        return _SETTINGS[-1]
    low, high = list(pairwise(variant.hertz))[index - 1]
    first, last = list(pairwise(_SETTINGS))[index - 1]
    # The library scales F0 exponentially in the setting.
    return round(first + (last - first) * math.log(f0 / low) / math.log(high / low))


def median_hertz(traits: VoiceTraits) -> float:
    """The median F0 of a voice's English: the inverse of `pitch_setting`."""
    index = max(1, bisect_left(_SETTINGS, traits.pitch))
    low, high = traits.variant.hertz[index - 1 : index + 1]
    first, last = _SETTINGS[index - 1 : index + 1]
    return low * math.pow(high / low, (traits.pitch - first) / (last - first))


def at_pitch(traits: VoiceTraits, factor: float) -> VoiceTraits:
    """The voice with its F0 times `factor`, 0.5 to 2, as loud as before. A whisper has none to move."""
    if factor == 1.0 or traits.variant == WHISPER:
        return traits
    variant = traits.variant
    steps = round(math.log2(factor) / math.log2(STEP))
    wanted = median_hertz(traits) * factor / STEP**steps
    # A voice at an end of its settings has room on one side only.
    if not variant.hertz[0] <= wanted <= variant.hertz[-1]:
        direction = -1 if wanted < variant.hertz[0] else 1
        steps, wanted = steps + direction, wanted / STEP**direction
    changed = replace(
        variant,
        name=moved(variant.name, steps),
        volume=round(variant.volume * factor**_QUIETER_WHEN_HIGHER),
    )
    return VoiceTraits(changed, pitch_setting(variant, wanted))
