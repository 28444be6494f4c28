"""Which characters are given in pinyin, held by the phonemes that espeak-ng makes."""

from __future__ import annotations

import pytest

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.espeak.mandarin import Mandarin
from support.engines.embedded import check_words, speak
from support.writing.polyphones import SENTENCES, parsed, said, syllables

TEXTS = [parsed(sentence) for sentence in SENTENCES]


@pytest.fixture(scope="module")
def readings() -> dict[str, str]:
    """Of every numbered syllable of the sentences: its phonemes as far as the tone."""
    wanted = sorted({reading for _, places in TEXTS for reading in places.values()})
    told = said([reading.replace("iong", "ong") for reading in wanted], "alone")
    return {reading: syllables(names)[0] for reading, (_, names) in zip(wanted, told, strict=True)}


def rightly(readings: dict[str, str], how: str) -> list[tuple[str, int]]:
    """The places that are read rightly."""
    found = []
    told = said([text for text, _ in TEXTS], how)
    for (text, places), (_, names) in zip(TEXTS, told, strict=True):
        spoken = syllables(names)
        if len(spoken) == len(text):
            found += [
                (text, place)
                for place, reading in places.items()
                if _sound(spoken[place], readings[reading])
            ]
    return found


def _sound(spoken: str, wanted: str) -> bool:
    """The end of the syllable before may stand at the begin; a neutral tone is no fault."""
    if spoken.endswith("11"):
        spoken, wanted = spoken[:-2], wanted.rstrip("1345")
        wanted = wanted.removesuffix("2") if wanted.endswith("2") else wanted
    return spoken.removesuffix(wanted) in ("", "n", "N") and spoken.endswith(wanted)


def test_the_sentence_decides(readings: dict[str, str]) -> None:
    wanted = [(text, place) for text, places in TEXTS for place in places]
    right = rightly(readings, "phrases")
    assert [f"{text}: {text[at]}" for text, at in wanted if (text, at) not in right] == []


def test_it_is_better_than_espeak_alone_and_works_without_phrases(
    readings: dict[str, str],
) -> None:
    alone, contexts, phrases = (
        len(rightly(readings, how)) for how in ("alone", "contexts", "phrases")
    )
    assert alone < contexts < phrases


def test_what_is_read_rightly_stays_as_it_is_written() -> None:
    texts = [
        *("你好，世界！", "我们去公园吧。", "他在银行工作。", "今天天气很好", "一个人不是两个人"),
        *("知识和认识", "东西很好处", "Hello 2024", "X光"),
    ]
    assert [given for given, _ in said(texts)] == texts


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("孩子长大了", "孩子 zhang3da4 了"),
        ("兄弟！", "xong1 弟！"),
        ("去哪儿？", "去哪 er5？"),
        ("第3行，第三行", "第3行，第三 hang2"),
        ("（教我）A教你", "（jiao1 我）A jiao1 你"),
    ],
)
def test_what_is_given(text: str, given: str) -> None:
    assert said([text])[0][0] == given


def test_nothing_is_spelled_out_in_english() -> None:
    texts = [
        "兄弟",
        "熊猫",
        "无穷",
        "汹涌",
        "窘迫",
        "这儿和那儿",
        "一会儿",
        "媳妇儿",
        "玩儿",
        "女儿",
    ]
    assert [names for _, names in said(texts) if "(" in names] == []
    assert all("(" in names for _, names in said(texts[:9], "alone"))


def test_places_go_back_to_the_text() -> None:
    sounds = {"zhang3": "ts.A214N", "da4": "tA51", "长大": "ts.hA35NtA51"}
    mandarin = Mandarin(lambda text: sounds.get(text, ""), {"长大": '[\n"zhǎng"\n],\n[\n"dà"\n]\n'})
    given, origins = mandarin.respelled("a长大b")
    assert given == "a zhang3da4 b"
    assert [origins.source(at, at + 1) for at in (0, 1, 2, 10, 12)] == [
        *((0, 1), (1, 3), (1, 3), (1, 3), (3, 4)),
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "text", ["孩子长大了，第三行3个。", "兄弟们在这儿，教我！", "他把钱还了A老师教你"]
)
async def test_words_are_those_of_the_text(engine: EmbeddedEngine, text: str) -> None:
    spoken = await speak(engine, text)
    check_words(spoken.words, len(text), spoken.seconds)
    shown = [text[word.text_begin : word.text_end] for word in spoken.words]
    assert shown == [char for char in text if char.isalnum()]
    assert all(word.begin < word.end for word in spoken.words)
