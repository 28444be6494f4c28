"""Words that are spelled by sounds: the tokens, where a text has them, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
from cosyserve.engine.cosyvoice.families import COSYVOICE3
from cosyserve.engine.cosyvoice.options import CosyVoiceOptions, UtterancePolicy
from cosyserve.engine.cosyvoice.text import PlainNormalizer, TextFrontend, TextTokenizer
from cosyserve.engine.cosyvoice.text.sounds import LONGEST_ROW, SoundTokens
from cosyserve.engine.interface import SpellingEngine
from cosyserve.engine.segmentation.lookahead import NeedMoreText
from support.engines import goldens3
from support.engines.tiny_tokenizer import tiny_tokenizer, write_tokenizer

assert COSYVOICE3.sounds is not None
SOUNDS: SoundTokens = COSYVOICE3.sounds


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return TextTokenizer.load(folder, COSYVOICE3.special_tokens, SOUNDS)


def test_the_special_tokens_have_the_published_numbers() -> None:
    """Qwen2 has 151643 words, and the end of text follows them."""
    numbered = {name: 151643 + i for i, name in enumerate(COSYVOICE3.special_tokens)}
    assert numbered.pop("<|endoftext|>") == 151643
    assert numbered == goldens3.text()["special_tokens"]


@pytest.mark.parametrize(
    ("alphabet", "sounds", "row"),
    [
        ("py", "zhong4", "[zh][òng]"),
        ("py", "zhòng xīn", "[zh][òng][x][īn]"),
        ("py", "nǚ", "[n][ǚ]"),
        ("py", "nv3 lüe4 jue2", "[n][ǚ][l][vè][j][ué]"),
        ("py", "er2", "[ér]"),
        ("py", "liu4 gui4 hou4", "[l][iù][g][uì][h][òu]"),
        ("py", "hao3 de5", "[h][ǎo][d][e]"),
        ("py", "de5", None),
        ("py", "zhng4", None),
        ("py", "zhòng4", None),
        ("cmu", "R EH1 D", "[R][EH1][D]"),
        ("cmu", "r eh1 d", "[R][EH1][D]"),
        ("cmu", "QQ1", None),
        ("cmu", "", None),
    ],
)
def test_spelling(alphabet: str, sounds: str, row: str | None) -> None:
    assert SOUNDS.spelled(alphabet, sounds) == row


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("[zh][òng]新", 9),
        ("[zh][o\u0300ng]新", 10),
        ("[ǎo] b", 4),
        ("[R][EH1][D] b", 11),
        ("[a] b", 0),
        ("x", 0),
        ("[i][j]=1", 0),
        ("[laughter] b", 0),
        ("[L" * 200, 0),
    ],
)
def test_rows(text: str, length: int) -> None:
    assert SOUNDS.row_length(text, 0, False) == length


@pytest.mark.parametrize("text", ["[", "[zh", "[zh]", "[zh][", "[zh][òng", "[zh][òng]"])
def test_a_row_that_may_go_on_waits(text: str) -> None:
    with pytest.raises(NeedMoreText):
        SOUNDS.row_length(text, 0, False)
    assert SOUNDS.row_length(text, 0, True) == (9 if text == "[zh][òng]" else 0)


def test_a_row_has_an_end() -> None:
    assert 0 < SOUNDS.row_length("[AA1]" * 1000, 0, False) <= LONGEST_ROW


def ids(tokenizer: TextTokenizer, *pieces: str) -> list[int]:
    frontend = TextFrontend(tokenizer, PlainNormalizer())
    deltas = [delta for piece in pieces for delta in frontend.feed(piece)]
    return [number for delta in [*deltas, *frontend.finish()] for number in delta.ids]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("我[zh][òng]新。", ["我", "[zh]", "[òng]", "新。"]),
        ("the [R][EH1][D] hello.", ["the", " ", "[R]", "[EH1]", "[D]", " hello."]),
        ("[HH][AH0][L][OW1].", ["[HH]", "[AH0]", "[L]", "[OW1]", "."]),
        ("the [breath]hello.", ["the", "[breath]", "hello."]),
        ("hello x[i][j].", ["hello x[i][j]."]),
    ],
)
def test_tokens(tokenizer: TextTokenizer, text: str, wanted: list[str]) -> None:
    special = tokenizer.special
    expected = [
        n
        for part in wanted
        for n in ([special[part]] if part in special else tokenizer.encode(part))
    ]
    assert ids(tokenizer, text) == expected
    assert ids(tokenizer, *text) == expected


@given(
    st.lists(
        st.sampled_from(
            ["我", "the ", "[zh]", "[òng]", "[", "]", "[a]", "[AA1]", "(x)", ". ", "。", "*", "\n"]
        ),
        max_size=20,
    )
)
def test_the_cuts_of_the_text_change_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    assert ids(_TOKENIZER, *text) == ids(_TOKENIZER, text)


def _sounding() -> TextTokenizer:
    plain = tiny_tokenizer()
    names = [*plain.special, *COSYVOICE3.special_tokens]
    numbers = {name: 5000 + i for i, name in enumerate(dict.fromkeys(names))}
    return TextTokenizer(plain._bpe, numbers, SOUNDS)


_TOKENIZER = _sounding()


def test_without_sound_tokens_brackets_are_text() -> None:
    plain = tiny_tokenizer()
    frontend = TextFrontend(plain, PlainNormalizer(), markup=False)
    deltas = [*frontend.feed("我[zh][òng]新。"), *frontend.finish()]
    assert deltas[-1].text == "我[zh][òng]新。"


def test_the_published_samples() -> None:
    """What stands where in the reference's own samples, by the special tokens in them."""
    for case in goldens3.text()["samples"]["cases"]:
        special = {number: name for name, number in goldens3.text()["special_tokens"].items()}
        names = [special[number] for number in case["ids"] if number in special]
        rows = [name for name in names if name in SOUNDS.names]
        text = case["text"]
        found = []
        at = 0
        while at < len(text):
            length = SOUNDS.row_length(text, at, True)
            found += SOUNDS.split(text[at : at + length]) if length else []
            at += length or 1
        assert found == rows


def test_a_row_that_does_not_fit_begins_the_next_utterance(tokenizer: TextTokenizer) -> None:
    frontend = TextFrontend(tokenizer, PlainNormalizer(), UtterancePolicy(1, 8, 8))
    deltas = [*frontend.feed("hello world two [R][EH1][D][R][EH1][D] two."), *frontend.finish()]
    counts: dict[int, int] = {}
    for delta in deltas:
        counts[delta.utterance] = counts.get(delta.utterance, 0) + len(delta.ids)
    assert len(counts) > 1
    assert max(counts.values()) <= 8


def test_an_engine_of_this_family_spells(tmp_path: Path) -> None:
    (tmp_path / "cosyvoice3.yaml").touch()
    engine = CosyVoiceEngine(CosyVoiceOptions(model=tmp_path))
    assert isinstance(engine, SpellingEngine)
    assert engine.capabilities.spells == {"py", "cmu"}
    assert engine.spelled("py", "zhong4") == "[zh][òng]"
    assert engine.spelled("ipa", "a") is None


def test_an_engine_of_cosyvoice_2_does_not(tmp_path: Path) -> None:
    engine = CosyVoiceEngine(CosyVoiceOptions(model=tmp_path))
    assert not engine.capabilities.spells
    assert engine.spelled("py", "zhong4") is None
