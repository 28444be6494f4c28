"""Japanese in katakana, word by word, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.text import PlainNormalizer, TextFrontend
from cosyserve.engine.cosyvoice.text.japanese import KatakanaForms, load_words
from support.engines.tiny_tokenizer import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
WORDS = load_words()


def said(*pieces: str, words: bool = True) -> str:
    """What is read out of a text."""
    japanese = KatakanaForms(WORDS if words else None)
    frontend = TextFrontend(TOKENIZER, PlainNormalizer(), japanese=japanese)
    deltas = [delta for piece in pieces for delta in frontend.feed(piece)]
    deltas += frontend.finish()
    return "".join(delta.text for delta in deltas)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("今日は天気がいいですね。", "キョー ワ テンキ ガ イイ デス ネ。"),
        ("日本語を話す。", "ニホンゴ ヲ ハナス。"),
        ("東京に行った、大阪にも。", "トーキョー ニ イッ タ、オーサカ ニ モ。"),
        ("コンニチワ セカイ。", "コンニチワ セカイ。"),
        ("コーヒーを飲む。", "コーヒー ヲ ノム。"),
        ("これは hello です。", "コレ ワhelloデス。"),
        ("今天天气好。", "今天天气好。"),
        ("我们今天去公园，天气很好。", "我们今天去公园，天气很好。"),
        ("hello world.", "hello world."),
        ("学校へ行く。東京。", "ガッコー エ イク。トーキョー。"),
        ("学校へ行く。我们今天都去公园玩。", "ガッコー エ イク。我们今天都去公园玩。"),
    ],
)
def test_reading(text: str, wanted: str) -> None:
    assert said(text) == wanted
    assert said(*text) == wanted


def test_without_a_dictionary_kana_alone_is_changed() -> None:
    assert said("日本語をはなす。", words=False) == "日本語ヲハナス。"


PARTS = ["今日", "は", "学校", "に", "ー", "コ", " ", "。", "、", "天", "hello", "[breath]", "1"]


@given(st.lists(st.sampled_from(PARTS), max_size=24))
def test_the_cuts_change_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    assert said(*text) == said(text)


def test_a_long_row_is_cut() -> None:
    assert sum(said("あ" * 500).count(letter) for letter in "アー") == 500
