"""Which voice of espeak-ng reads which language, and at which pace."""

from __future__ import annotations

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

_PACE: Final = {"cmn": 0.88, "yue": 0.88}
"""By how much of its power a speed acts: espeak-ng overdoes speed in tone languages."""

_BASE_RATE: Final = 175
_SLOWEST, _FASTEST = 80, 449  # words a minute; from 450 on the library merely skips through the sound


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
    rate = _BASE_RATE * speed ** _PACE.get(voice, 1.0)
    return min(max(_SLOWEST, round(rate)), _FASTEST)
