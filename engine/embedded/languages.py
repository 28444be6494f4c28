"""Which voice of espeak-ng reads which language, and at which pace."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

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
"""The power of the speed to ask for, so that the length of the speech follows the speed: espeak-ng
overdoes it in some languages and underdoes it in others. Measured from 0.5 to 2; others need none."""

_PITCH_STEPS: Final = {"cmn": 9, "vi": 13, "yue": 10}
"""Steps of the pitch setting by which the tones of a language make a voice lower than it is in
English, measured as median F0."""

_BASE_RATE: Final = 175
_SLOWEST, _FASTEST = (
    80,
    449,
)  # words a minute; from 450 on the library merely skips through the sound


class Languages:
    """The languages whose data is there.

    tags: what espeak-ng calls them, which is BCP-47.
    """

    def __init__(self, data: str) -> None:
        files = Path(data, "lang").rglob("*")
        self.tags = tuple(sorted({file.name for file in files if file.is_file()}))
        self._voices = {tag.lower() for tag in self.tags}

    def voice(self, language: str, default: str) -> str:
        """The espeak-ng voice of a BCP-47 tag, `default` where there is none."""
        tag = language.lower()
        for known in (tag, tag.split("-")[0]):
            voice = _ALIASES.get(known, known)
            if voice in self._voices:
                return voice
        return default

    def __contains__(self, language: str) -> bool:
        return self.voice(language, "") != ""


def rate_setting(speed: float, voice: str) -> int:
    """Words a minute for a speed, 1.0 being the voice's own pace."""
    rate = _BASE_RATE * math.pow(speed, _PACE.get(voice, 1.0))
    return min(max(_SLOWEST, round(rate)), _FASTEST)


def pitch_steps(voice: str) -> int:
    """Steps to add to a pitch setting for the same F0 in the language of this voice."""
    return _PITCH_STEPS.get(voice, 0)
