"""Pinyin for those Mandarin characters that espeak-ng would read wrongly.

espeak-ng reads many characters by phrases of its own, but not all, and it spells out a few syllables
in English. Readings come from the characters around a character (CONTEXTS) and from the phrases of
pypinyin; what espeak-ng reads rightly stays as it is written, so that it sounds as before.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ...origins import Origins
from ...segmentation.scripts import IDEOGRAPHS
from ..alphabets import numbered, spelled

_NUMBERS: Final = "一二两三四五六七八九十百千几数半"
_WHICH: Final = _NUMBERS + "这那哪每各某此同多"

CONTEXTS: Final = tuple(
    (re.compile(pattern), reading)
    for pattern, reading in (
        ("得(?=第|冠军|[金银铜]牌|满分|[一二两三四五六七八九十百零]+分)", "de2"),
        # must: after who or what has to, before what is to be done
        (
            "(?<=[我你他她它您们咱谁家人事总还就也都才又必可非])得(?![到了不以出分奖罪意益失知名很太真非更最那好])",
            "dei3",
        ),
        (
            "(?<![觉值获取懂晓记舍认懒免省难使显所])得(?=[先用靠找问赶]|马上|立刻|立即|尽快|抓紧|想办法|想个办法)",
            "dei3",
        ),
        # to give back
        ("还(?=[你我他她它](?:的)?[钱书债]|[钱书债账款贷清]|掉)", "huan2"),
        ("还(?=了(?![解不得结如然]))", "huan2"),
        ("(?<=[没不要会能该来已快])还$", "huan2"),
        ("(?<=[归偿退奉])还", "huan2"),
        # rows and trades
        (f"(?<=第[{_NUMBERS}])行|(?<=[几每两逐整换隔首末])行|行(?=代码)", "hang2"),
        # to grow; long
        ("(?<=[很太这那么多好更最较真不])长(?![大高成得辈老者官])", "chang2"),
        ("长(?=高了|得|到|满|胖|出|成[了一])", "zhang3"),
        # to teach
        (
            "教(?=过)|(?<![宗佛基督请求领管家任执主道新旧天文信传])教(?=[我你他她它您咱大谁]|学生|孩子|小朋友|[英汉日法外]语|中文|语文|数学|音乐|体育|钢琴|游泳|人(?!员|师))",
            "jiao1",
        ),
        # to be, to become; for
        ("(?<=工作)为|为(?=人民)", "wei4"),
        ("(?<=[评分选称成作变名设视定化列改译誉升降合转任尊认封])为(?![何什此])", "wei2"),
        # to carry on the back
        ("背(?=着(?![手光面地])|起(?!来)|上(?=书包|行李|包))", "bei1"),
        # to regard as
        ("把.{1,4}(当)(?=朋友|成|做|作|真|回事|傻|自己|亲)", "dang4"),
        # to plant; a kind
        (f"(?<=[{_WHICH}])种", "zhong3"),
        (
            f"(?<![{_WHICH}品物人兵灾特变])种(?=[了着满]|树|菜|花(?!样)|田|地(?!方)|粮|水稻|小麦|庄稼)",
            "zhong4",
        ),
        # to count; a number
        ("(?<=[人岁次分总])数", "shu4"),
        (
            "(?<![人岁次无少多奇偶分总参函整倍小代变度指基])数(?=一数|了数|了.{1,2}[遍次下]|不清|不完|钱|星星|[到着])",
            "shu3",
        ),
        # a measure word; only
        (f"(?<=[{_NUMBERS}每])只(?![有是要能好会不因])", "zhi1"),
        ("(?<=[这那])只(?=[大小老白黑花]?[猫狗鸟鸡鸭鹅羊虎兔手脚鞋船猴熊])", "zhi1"),
        ("会(?=计算|计划|计较)", "hui4"),
        ("量(?=身|体温|血压|尺寸|一量)", "liang2"),
        ("卡(?=[住壳])", "qia3"),
        ("切(?=[菜肉片丝块断开成碎]|水果|西瓜|蛋糕|洋葱|土豆)", "qie1"),
        ("(?<![炸子])弹(?=钢琴|吉他|琵琶|古筝|琴|[了着过得])", "tan2"),
        ("削(?=皮|苹果|铅笔|梨|土豆)", "xiao1"),
        ("(?<![关联体派])系(?=鞋带|领带|安全带|围巾|[好上紧着])", "ji4"),
        ("中(?=[奖毒暑弹枪]|了.?奖)|(?<=[猜打击看选命射])中(?![国文华央心间午学])", "zhong4"),
        ("倒(?=[水茶酒掉垃车]|杯|一杯|了一?杯)", "dao4"),
        ("[睡点找够猜]不?(着)(?=了|$)", "zhao2"),
        ("盛(?=[饭汤菜了])", "cheng2"),
        ("炸(?=[鸡鱼薯虾糕]|油条|酱)", "zha2"),
        ("缝(?=[衣扣被补上好]|了)", "feng2"),
        ("剥(?=[皮壳橘花虾蒜]|了)", "bao1"),
        ("^地(?=[上下里面板])", "di4"),
        ("(?<=温暖)和", "he2"),
        # names
        ("(?<=(?<!百)姓)曾|曾(?=先生|女士|老师|国藩)", "zeng1"),
        ("(?<=(?<!百)姓)单", "shan4"),
        ("(?<=(?<!百)姓)任", "ren2"),
        ("(?<=(?<!百)姓)仇", "qiu2"),
        ("(?<=(?<!百)姓)解", "xie4"),
        ("(?<=(?<!百)姓)朴", "piao2"),
        ("(?<=(?<!百)姓)查", "zha1"),
        ("(?<=(?<!百)姓)区", "ou1"),
        ("(?<=(?<!百)姓)华", "hua4"),
        ("大夫", "dai4 fu5"),
    )
)


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
    """Find the phrases in a row of Han, as far as they are certain.

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


_HAN: Final = re.compile(f"[{IDEOGRAPHS}]+")

_TONES: Final = {"55": "1", "35": "2", "214": "3", "51": "4", "11": "5"}
_TONE: Final = re.compile("(55|35|214|51|11)")
_NO_SOUND: Final = re.compile(r"[',|% ]|_[:!|]?")
_GARBLED: Final = "("
"""The phoneme name at which espeak-ng changes to its English voice."""
_CODAS: Final = ("", "n", "N")
_SANDHI: Final = "一不"
"""Their tones depend on what follows, which espeak-ng knows."""

_SPELLED_OUT: Final = {
    char: reading
    for reading, chars in {
        "xiong1": "兄凶匈汹胸芎讻恟兇洶",
        "xiong2": "雄熊",
        "xiong4": "诇敻",
        "qiong2": "穷琼穹邛茕筇蛩跫窮瓊",
        "jiong1": "扃坰駉",
        "jiong3": "窘炯迥炅泂",
    }.items()
    for char in chars
}
_SUFFIX: Final = "儿"
_SUFFIX_SOUND: Final = "er5"


class _Change(NamedTuple):
    """row[begin:end] is to be spoken as `pinyin`."""

    begin: int
    end: int
    pinyin: str


class _Syllable(NamedTuple):
    """A syllable in phoneme names: what comes before its tone, and what after."""

    onset: str
    tone: str
    coda: str


class Mandarin:
    """Respells Mandarin for espeak-ng.

    phonemes: gives the phoneme names that espeak-ng has for a text. phrases: those of `load_phrases`.
    """

    def __init__(self, phonemes: Callable[[str], str], phrases: Mapping[str, str]) -> None:
        self._phonemes = phonemes
        self._phrases = phrases
        self._syllables: dict[str, _Syllable | None] = {}

    def respelled(self, text: str) -> tuple[str, Origins]:
        """Respell `text` for espeak-ng; return it with the map from its places to those in `text`."""
        origins, parts, at = Origins(), [], 0
        for row in _HAN.finditer(text):
            for begin, end, pinyin in self._changes(row[0]):
                begin, end = begin + row.start(), end + row.start()
                before, after = text[begin - 1 : begin], text[end : end + 1]
                put = " " * before.isalnum() + spelled(pinyin) + " " * after.isalnum()
                parts += [text[at:begin], put]
                origins.copy(begin - at)
                origins.replace(end - begin, len(put))
                at = end
        origins.copy(len(text) - at)
        return "".join([*parts, text[at:]]), origins

    def _changes(self, row: str) -> list[_Change]:
        """The changes to a row of Han, in order."""
        if len(row) < 2 and row not in _SPELLED_OUT:
            return []
        forced = self._spelled_out(row) if _GARBLED in self._phonemes(row) else []
        found, at = list(forced), 0
        wanted = list(self._wanted(row))
        for border in (*forced, _Change(len(row), len(row), "")):
            part = row[at : border.begin]
            own = _TONE.split(self._sounds(part)) if part else []
            if len(own) == 2 * len(part) + 1:
                inside = [c for c in wanted if at <= c.begin and c.end <= border.begin]
                found += filter(None, (self._checked(row, change, own, at) for change in inside))
            at = border.end
        return sorted(found)

    def _wanted(self, row: str) -> Iterator[_Change]:
        """The readings of contexts and phrases for a row of Han; disjoint, in any order."""
        taken: set[int] = set()
        for pattern, reading in CONTEXTS:
            for match in pattern.finditer(row):
                begin, end = match.span(match.lastindex or 0)
                if taken.isdisjoint(range(begin, end)):
                    taken.update(range(begin, end))
                    yield _Change(begin, end, reading)
        for begin, end in phrases_in(row, self._phrases):
            if taken.isdisjoint(range(begin, end)):
                yield _Change(begin, end, " ".join(syllables(self._phrases[row[begin:end]])))

    def _checked(self, row: str, change: _Change, own: list[str], at: int) -> _Change | None:
        """The change if espeak-ng would say something else, else None.

        A neutral tone makes no difference: phrases do not have it, and espeak-ng knows many.
        own: espeak-ng's phonemes for row[at:], split at the tones, with the tones.
        """
        readings = change.pinyin.split()
        if len(readings) != change.end - change.begin:
            return None
        differs, said, coda = False, [], None
        for place, reading in enumerate(readings, change.begin):
            syllable = self._syllable(reading)
            if syllable is None:
                return None
            sound, tone, following = own[2 * (place - at) : 2 * (place - at) + 3]
            before = sound.removesuffix(syllable.onset)
            alike = sound.endswith(syllable.onset) and (
                before in _CODAS if coda is None else before == coda
            )
            alike = alike and following.startswith(syllable.coda)
            if (
                alike
                and tone != syllable.tone
                and ("11" in (tone, syllable.tone) or row[place] in _SANDHI)
            ):
                reading = reading[:-1] + _TONES[tone]
            elif not alike or tone != syllable.tone:
                differs = True
            said.append(reading)
            coda = syllable.coda
        return change._replace(pinyin="".join(said)) if differs else None

    def _spelled_out(self, row: str) -> list[_Change]:
        """The characters that espeak-ng would spell out in English."""
        found = []
        for place, char in enumerate(row):
            if char in _SPELLED_OUT:
                found.append(_Change(place, place + 1, _SPELLED_OUT[char]))
            elif char == _SUFFIX and any(
                _GARBLED in self._phonemes(row[max(0, begin) : end])
                for begin, end in (
                    (place - 1, place + 1),
                    (place - 2, place + 1),
                    (place - 1, place + 2),
                )
            ):
                found.append(_Change(place, place + 1, _SUFFIX_SOUND))
        return found

    def _syllable(self, reading: str) -> _Syllable | None:
        """The sounds of a numbered syllable, None if espeak-ng has none for it."""
        if reading not in self._syllables:
            parts = _TONE.split(self._sounds(spelled(reading)))
            good = len(parts) == 3 and _GARBLED not in parts[0] and reading[-1:] == _TONES[parts[1]]
            self._syllables[reading] = _Syllable(*parts) if good else None
        return self._syllables[reading]

    def _sounds(self, text: str) -> str:
        return _NO_SOUND.sub("", self._phonemes(text))
