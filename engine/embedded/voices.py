"""Voices: which espeak-ng voice speaks which language, how an instruction is followed, and which
built-in voice comes nearest to a pitch."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from ..interface import BuiltinVoice
from .espeak.installation import PITCH_STEP, pitched
from .frames import NaturalProsody
from .hibari.installation import MEDIAN_F0

_ALIASES: Final = {
    "en": "en-us",  # espeak-ng's plain "en" is British
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-tw": "cmn",
    "zh-hk": "yue",
    "zh-yue": "yue",
    "no": "nb",
    "iw": "he",
    "tl": "en-us",
}

_PACE: Final = {
    "ar": 1.1,
    "cmn": 0.91,
    "cs": 1.05,
    "es": 1.12,
    "fa": 0.92,
    "fr": 0.94,
    "it": 1.14,
    "ja": 0.95,
    "pt": 1.07,
    "ru": 1.2,
    "th": 1.25,
    "tr": 0.95,
    "uk": 0.96,
    "yue": 0.88,
}
"""Exponents on the speed, by language, that make the length of the speech follow it: espeak-ng changes
its pace too much in some languages, too little in others. Measured from 0.5 to 2; the others need none."""

_PITCH_STEPS: Final = {"cmn": 9, "vi": 13, "yue": 10}
"""Steps of the pitch setting by which a tone language makes a voice lower than English does, by median F0."""

_SOFTENED: Final = {"cmn": 0.78, "vi": 0.72, "yue": 0.74}
"""Factors on the volume that make espeak-ng's tone languages as loud as English is."""

_OCTAVE: Final = 50
"""Steps of the pitch setting."""
_USUAL_RANGE: Final = 50
_BASE_RATE: Final = 175
_SLOWEST, _FASTEST = (
    80,
    449,
)  # words a minute; from 450 on the library merely skips through the sound


class Languages:
    """The languages that the installed espeak-ng speaks. tags: their names there, which are BCP-47."""

    def __init__(self, data: str) -> None:
        files = Path(data, "lang").rglob("*")
        self.tags = tuple(sorted({file.name for file in files if file.is_file()}))
        self._voices = {tag.lower() for tag in self.tags}

    def voice(self, language: str, default: str) -> str:
        """The espeak-ng voice for a BCP-47 tag, `default` if there is none."""
        tag = language.lower()
        for known in (tag, tag.split("-")[0]):
            voice = _ALIASES.get(known, known)
            if voice in self._voices:
                return voice
        return default

    def __contains__(self, language: str) -> bool:
        return self.voice(language, "") != ""


def rate_setting(speed: float, voice: str) -> int:
    """Words a minute for a speed; 1.0 is the voice's own pace."""
    rate = _BASE_RATE * math.pow(speed, _PACE.get(voice, 1.0))
    return min(max(_SLOWEST, round(rate)), _FASTEST)


def pitch_steps(voice: str) -> int:
    """Steps to add to a pitch setting so that this voice's language has the F0 of English."""
    return _PITCH_STEPS.get(voice, 0)


def beside_natural(voice: str) -> float:
    """The factor on the volume of a voice of espeak-ng that makes it as loud as the natural voice."""
    return _SOFTENED.get(voice, 1.0)


@dataclass(frozen=True, slots=True)
class Style:
    """A way to speak, as an instruction asks for it.

    speed, volume: factors. pitch: steps to add to the pitch setting (_OCTAVE of them are one). pitch_range: 0
    (monotone) to 99. whisper: without voice. han: the language to read Han in, None to leave it.
    """

    speed: float = 1.0
    pitch: int = 0
    pitch_range: int = _USUAL_RANGE
    volume: float = 1.0
    whisper: bool = False
    han: str | None = None


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(words) + r")\b")


def _han(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words))


_SLIGHTLY: Final = re.compile(
    r"\b(?:slightly|a little|a bit|somewhat)\b|稍微|稍稍|稍|一点|一些|有点"
)
_VERY: Final = re.compile(r"\b(?:very|much|really|extremely|as \w+ as possible)\b|非常|很|特别|极")

_SPEED: Final = (
    (_words("fast", "faster", "quick", "quickly", "quicker", "rapid", "rapidly", "hurry"), 1.25),
    (_words("slow", "slower", "slowly"), 0.8),
    (_han("(?<!欢)快(?!乐|活|递|餐)"), 1.25),
    (_han("慢"), 0.8),
)
_VOLUME: Final = (
    (_words("loud", "louder", "loudly", "shout", "shouting"), 1.6),
    (_words("soft", "softer", "softly", "quiet", "quieter", "quietly", "gentle", "gently"), 0.6),
    (_han("大声", "响亮", "高声", "大喊"), 1.6),
    (_han("轻声", "小声", "低声", "柔和", "轻柔", "温柔"), 0.6),
)
_PITCH: Final = (
    (_words("high", "higher", "high-pitched"), 12),
    (_words("low", "lower", "deep", "deeper", "low-pitched"), -12),
    (_han("高(?!声|兴)"), 12),
    (_han("低(?!声)", "低沉", "深沉"), -12),
)
_MOODS: Final = (
    (
        (_words("calm", "calmly", "relaxed", "soothing"), _han("平静", "冷静", "舒缓", "平缓")),
        Style(speed=0.92, pitch=-3, pitch_range=35),
    ),
    (
        (
            _words("excited", "excitedly", "happy", "happily", "cheerful", "enthusiastic"),
            _han("兴奋", "激动", "开心", "高兴", "快乐", "欢快"),
        ),
        Style(speed=1.1, pitch=8, pitch_range=75, volume=1.15),
    ),
    (
        (_words("sad", "sadly", "sorrowful"), _han("悲伤", "伤心", "难过", "低落")),
        Style(speed=0.85, pitch=-5, pitch_range=30, volume=0.85),
    ),
    (
        (_words("angry", "angrily", "furious"), _han("生气", "愤怒")),
        Style(speed=1.08, pitch=4, pitch_range=70, volume=1.3),
    ),
    (
        (_words("monotone", "robot", "robotic", "flat"), _han("机器人", "单调")),
        Style(pitch_range=0),
    ),
)
_WHISPER: Final = (_words("whisper", "whispering", "whispered"), _han("耳语", "悄悄", "气声"))
_DIALECTS: Final = (
    ((_words("cantonese"), _han("广东话", "粤语", "廣東話", "粵語", "广州话", "白话")), "yue"),
    ((_words("mandarin", "putonghua"), _han("普通话", "國語", "国语", "普通話")), "cmn"),
)
_MOST_VOLUME: Final = 2.0
"""Greatest volume factor of a style; the least is its inverse."""


def read_instruction(instruct: str) -> Style:
    """The style that an instruction asks for with English and Chinese keywords; other words are ignored."""
    text = instruct.lower()
    style = Style()
    for patterns, mood in _MOODS:
        if _any(patterns, text):
            style = mood
            break
    amount = 0.5 if _SLIGHTLY.search(text) else 1.5 if _VERY.search(text) else 1.0
    return replace(
        style,
        speed=style.speed * _first(_SPEED, text, 1.0) ** amount,
        volume=min(
            max(1 / _MOST_VOLUME, style.volume * _first(_VOLUME, text, 1.0) ** amount), _MOST_VOLUME
        ),
        pitch=style.pitch + round(_first(_PITCH, text, 0) * amount),
        whisper=_any(_WHISPER, text),
        han=next((language for patterns, language in _DIALECTS if _any(patterns, text)), None),
    )


def _any(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _first(table: tuple[tuple[re.Pattern[str], float], ...], text: str, other: float) -> float:
    return next((value for pattern, value in table if pattern.search(text)), other)


@dataclass(frozen=True, slots=True)
class Variant:
    """A voice definition: one of installation.DEFINITIONS.

    hertz: measured median F0 of English at the pitch settings 0, 25, 50, 75 and 99. volume: the
    setting at which it is as loud as the other variants.
    """

    name: str
    hertz: tuple[float, float, float, float, float]
    volume: int


@dataclass(frozen=True, slots=True)
class NaturalTraits:
    """Factors that make the natural voice another one: on its F0 and on its formants."""

    pitch: float = 1.0
    formants: float = 1.0


@dataclass(frozen=True, slots=True)
class VoiceTraits:
    """A variant at a pitch setting, 0 to 99. natural: who speaks English, None for espeak-ng."""

    variant: Variant
    pitch: int
    natural: NaturalTraits | None = None


_SETTINGS: Final = (0, 25, 50, 75, 99)

FEMALE: Final = Variant("cosy-f1", (130, 158, 196, 251, 325), 78)
BREATHY: Final = Variant("cosy-f2", (131, 163, 206, 269, 352), 95)
MALE: Final = Variant("cosy-m1", (70, 83, 104, 133, 172), 86)
SONOROUS: Final = Variant("cosy-m2", (71, 85, 105, 136, 176), 82)
WHISPER: Final = Variant("cosy-w1", (409, 409, 409, 409, 409), 70)

_QUIETER_WHEN_HIGHER: Final = -0.65
"""Exponent on the pitch factor for the volume, so that all pitches are equally loud. RMS, from 0.5 to 2."""

_FEMALE_FROM: Final = 150.0
"""Hz. The median F0 of most men is below it, that of most women and children above it."""

_BUILTIN: Final = {
    "hanna": ("Hanna", "female", VoiceTraits(FEMALE, 50, NaturalTraits())),
    "alba": ("Alba", "female", VoiceTraits(FEMALE, 50)),
    "bruno": ("Bruno", "male", VoiceTraits(MALE, 50)),
    "clara": ("Clara", "female", VoiceTraits(BREATHY, 50)),
    "diego": ("Diego", "male", VoiceTraits(SONOROUS, 60)),
    "emil": ("Emil", "male", VoiceTraits(MALE, 66)),
    "frieda": ("Frieda", "female", VoiceTraits(FEMALE, 72)),
    "georg": ("Georg", "male", VoiceTraits(MALE, 30)),
}

DEFAULT: Final = VoiceTraits(FEMALE, 50, NaturalTraits())
"""For a reference without a pitch to measure."""

_FORMANTS: Final = 0.25
"""Exponent on the F0 of a reference over the natural voice's, for the formants: those of men are 14 %
lower than those of women, their F0 is 45 % lower."""


_NEAR: Final = 0.08
"""Of the natural voice's F0: a reference as near to it gets the voice as it is. It sounds best unmoved."""


def builtin_voices(natural: bool) -> tuple[BuiltinVoice, ...]:
    """The built-in voices, the default one first. natural: whether the natural voice is there."""
    return tuple(
        BuiltinVoice(voice_id, name, gender)
        for voice_id, (name, gender, traits) in _BUILTIN.items()
        if natural or traits.natural is None
    )


def builtin_traits(voice_id: str) -> VoiceTraits | None:
    """The built-in voice with this id, None if there is none."""
    entry = _BUILTIN.get(voice_id)
    return entry[2] if entry else None


def traits_for(f0: float | None) -> VoiceTraits:
    """The voice whose median F0 is nearest to `f0` Hz; DEFAULT for None."""
    if f0 is None:
        return DEFAULT
    variant = MALE if f0 < _FEMALE_FROM else FEMALE
    factor = min(max(MALE.hertz[0], f0), FEMALE.hertz[-1]) / MEDIAN_F0
    near = abs(factor - 1) < _NEAR
    natural = NaturalTraits() if near else NaturalTraits(factor, factor**_FORMANTS)
    return VoiceTraits(variant, pitch_setting(variant, f0), natural)


def pitch_setting(variant: Variant, f0: float) -> int:
    """The pitch setting at which the variant's median F0 is nearest to `f0` Hz."""
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
    """The median F0 of a voice in Hz: the inverse of `pitch_setting`."""
    index = max(1, bisect_left(_SETTINGS, traits.pitch))
    low, high = traits.variant.hertz[index - 1 : index + 1]
    first, last = _SETTINGS[index - 1 : index + 1]
    return low * math.pow(high / low, (traits.pitch - first) / (last - first))


def at_pitch(traits: VoiceTraits, factor: float) -> VoiceTraits:
    """The voice with its F0 times `factor`, 0.5 to 2, equally loud. A whisper has no F0 and stays."""
    if factor == 1.0 or traits.variant == WHISPER:
        return traits
    variant = traits.variant
    steps = round(math.log2(factor) / math.log2(PITCH_STEP))
    wanted = median_hertz(traits) * factor / PITCH_STEP**steps
    # A voice at an end of its settings has room on one side only.
    if not variant.hertz[0] <= wanted <= variant.hertz[-1]:
        direction = -1 if wanted < variant.hertz[0] else 1
        steps, wanted = steps + direction, wanted / PITCH_STEP**direction
    changed = replace(
        variant,
        name=pitched(variant.name, steps),
        volume=round(variant.volume * factor**_QUIETER_WHEN_HIGHER),
    )
    natural = traits.natural and replace(traits.natural, pitch=traits.natural.pitch * factor)
    return VoiceTraits(changed, pitch_setting(variant, wanted), natural)


def natural_prosody(traits: NaturalTraits, style: Style, speed: float) -> NaturalProsody:
    """How the natural voice speaks with these traits, in this style. speed: all that is asked for."""
    return NaturalProsody(
        speed=min(max(_SLOWEST / _BASE_RATE, speed), _FASTEST / _BASE_RATE),
        pitch=traits.pitch * 2 ** (style.pitch / _OCTAVE),
        pitch_range=style.pitch_range / _USUAL_RANGE,
        formants=traits.formants,
        volume=style.volume,
        whisper=style.whisper,
    )
