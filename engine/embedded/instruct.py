"""The few words of an instruction that a formant synthesiser can honestly follow."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Style:
    """How to speak.

    speed: factor on the pace. pitch: steps to add to the pitch setting (50 is an octave).
    pitch_range: 0 (monotone) to 99. volume: factor. whisper: without voice. han: the language that
    Han characters are read in, None to leave it.
    """

    speed: float = 1.0
    pitch: int = 0
    pitch_range: int = 50
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
_TO_LOUDNESS: Final = 2.0
"""No style is louder than this, nor softer than its inverse."""


def read_instruction(instruct: str) -> Style:
    """The style that known English and Chinese words ask for; all others are passed over."""
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
            max(1 / _TO_LOUDNESS, style.volume * _first(_VOLUME, text, 1.0) ** amount), _TO_LOUDNESS
        ),
        pitch=style.pitch + round(_first(_PITCH, text, 0) * amount),
        whisper=_any(_WHISPER, text),
        han=next((language for patterns, language in _DIALECTS if _any(patterns, text)), None),
    )


def _any(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _first(table: tuple[tuple[re.Pattern[str], float], ...], text: str, other: float) -> float:
    return next((value for pattern, value in table if pattern.search(text)), other)
