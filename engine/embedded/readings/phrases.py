"""The Mandarin phrases whose readings pypinyin keeps, and where they lie in a text."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .phonemes import numbered

_FILE: Final = "phrases_dict.json"
_ENTRY: Final = re.compile(r'"(\w{2,})": \[([^:]*)\]')
_READING: Final = re.compile(r'\[\s*"([^"]+)"')

_UNWANTED: Final = """
大夫 大黄 大黄鱼 肚子 一肚子 不得了 照片 像片 电影片 流血 质朴 古朴 简朴 素朴
纯朴 浑朴 诚朴 拙朴 敦朴 醇朴 勤朴 落下 落了 时差 温差 级差 方差 视差 均差
平均差 电位差 岁差 种差 差失 上行 上调 标识 解法 查查 漯河 应从 强人 给水 划水
受累 天台 哀乐 长长 糊糊 暴晒 蒙着 猜着 熏着 支着 该着 高着 一打 一卷 一通
一扎 一服 一撮 便了 和了 谁的 谁都 没过 倒是 在教 都会 都柏林 洪都拉斯 昌都县
台湾话 不怀好意 重楼 重结晶 柏油纸 吐口水 催吐剂 软骨头 贱骨头 贼骨头 老骨头
穷骨头 细菌域 细菌界 真菌界 制服呢 哪会儿 右肋 肋膜炎 考中 咱家 这个 质的 他处
着数 姓解 怎地
"""
"""Phrases whose reading is wrong, dated, or that of a rarer word than the one that is written alike."""

_PARTICLES: Final = frozenset(
    "的了着过得地是在有我你他她它们不没很太就都也还和与跟把被给向从对这那个吗呢吧啊"
)
"""Characters that are mostly words by themselves."""
_WORD_COST, _PARTICLE_COST = 10, 9
_LONGEST: Final = 8


def load_phrases() -> Mapping[str, str]:
    """Phrases of two characters and more, each with the text of its reading; none without pypinyin.

    Takes some 50 ms and 20 MB. Importing pypinyin would take 120 ms and 57 MB.
    """
    found = importlib.util.find_spec("pypinyin")
    if found is None or found.origin is None:
        return {}
    unwanted = frozenset(_UNWANTED.split())
    try:
        text = Path(found.origin).with_name(_FILE).read_text("utf-8")
    except OSError:
        return {}
    return {m[1]: m[2] for m in _ENTRY.finditer(text) if m[1] not in unwanted}


def syllables(reading: str) -> list[str]:
    """The numbered syllables of what `load_phrases` has for a phrase."""
    return numbered(" ".join(_READING.findall(reading))).split()


def phrases_in(text: str, phrases: Mapping[str, str]) -> list[tuple[int, int]]:
    """Where the phrases lie in a row of Han, as far as that is certain.

    The words of a row are taken to be as few as can be; where several divisions are equally good, only
    phrases that are in all of them count: 温|暖和|力量 or 温暖|和|力量 is decided by 和 being a particle.
    """
    # Costs and counts of the best divisions up to each place, and from it on.
    ahead = _divisions(text, phrases, [*range(len(text))], 1)
    back = _divisions(text, phrases, [*range(len(text), 0, -1)], -1)
    best, ways = ahead[len(text)]
    found = []
    for begin in range(len(text)):
        for end in range(begin + 2, min(begin + _LONGEST, len(text)) + 1):
            if text[begin:end] not in phrases:
                continue
            before, after = ahead[begin], back[end]
            if before[0] + _WORD_COST + after[0] == best and before[1] * after[1] == ways:
                found.append((begin, end))
    return found


def _divisions(
    text: str, phrases: Mapping[str, str], places: list[int], step: int
) -> list[tuple[int, int]]:
    """The cost of the best divisions between each place and the first, and how many there are."""
    none = 1 << 30
    result = [(none, 0)] * (len(text) + 1)
    result[places[0] if places else 0] = (0, 1)
    for place in places:
        cost, ways = result[place]
        for length in range(1, _LONGEST + 1):
            to = place + step * length
            if not 0 <= to <= len(text):
                break
            part = text[min(place, to) : max(place, to)]
            if length > 1 and part not in phrases:
                continue
            total = cost + (_PARTICLE_COST if part in _PARTICLES else _WORD_COST)
            if total < result[to][0]:
                result[to] = (total, ways)
            elif total == result[to][0]:
                result[to] = (total, result[to][1] + ways)
    return result
