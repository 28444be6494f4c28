"""The voices of espeak-ng that this engine uses, and which of them is nearest to a given pitch.

Only definitions that say "flutter 0" are used where there is one that fits: their speech repeats to
the sample, which the seed promises and which lets a worker take up a job where another left it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Final

from ..base import BuiltinVoice


@dataclass(frozen=True, slots=True)
class Variant:
    """A voice definition of espeak-ng.

    hertz: median F0 of English at pitch settings 0, 25, 50, 75 and 99, measured. volume: the setting
    at which it is as loud as the others. exact: whether it repeats to the sample.
    """

    name: str
    hertz: tuple[float, float, float, float, float]
    volume: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class VoiceTraits:
    """A variant at a pitch setting, 0 to 99."""

    variant: Variant
    pitch: int


_SETTINGS: Final = (0, 25, 50, 75, 99)

MICHEL: Final = Variant("michel", (67, 80, 101, 131, 172), 92)
ALEX: Final = Variant("Alex", (64, 75, 103, 143, 197), 120)
DENIS: Final = Variant("Denis", (67, 76, 96, 125, 165), 170)
MIGUEL: Final = Variant("miguel", (73, 86, 106, 136, 175), 75)
SHELBY: Final = Variant("shelby", (125, 142, 170, 208, 256), 97)
STEPH: Final = Variant("steph", (103, 136, 181, 245, 334), 90, exact=False)
WHISPER: Final = Variant("whisperf", (103, 136, 181, 245, 334), 130, exact=False)

_LOW_LIMIT: Final = 150.0
_HIGH_LIMIT: Final = 245.0
"""Hz. Median F0 of most men is below the first, of most women between the two, of children above."""

_BUILTIN: Final = {
    "alba": ("Alba", "female", VoiceTraits(SHELBY, 50)),
    "bruno": ("Bruno", "male", VoiceTraits(MICHEL, 50)),
    "clara": ("Clara", "female", VoiceTraits(SHELBY, 75)),
    "diego": ("Diego", "male", VoiceTraits(MIGUEL, 60)),
    "emil": ("Emil", "male", VoiceTraits(ALEX, 65)),
    "frieda": ("Frieda", "female", VoiceTraits(STEPH, 60)),
    "georg": ("Georg", "male", VoiceTraits(DENIS, 40)),
}

DEFAULT: Final = VoiceTraits(SHELBY, 50)
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
    variant = MICHEL if f0 < _LOW_LIMIT else SHELBY if f0 < _HIGH_LIMIT else STEPH
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
    return round(first + (last - first) * log(f0 / low) / log(high / low))
