from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from cosyserve.engine.cosyvoice.text.tokenizer import (
    MARKUP,
    SPECIAL_TOKENS,
    TextTokenizer,
    TokenizerError,
)
from support.engines.tiny_tokenizer import write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> TextTokenizer:
    return TextTokenizer.load(folder)


def test_special_tokens_follow_the_vocabulary_in_order(
    folder: Path, tokenizer: TextTokenizer
) -> None:
    words = len(json.loads((folder / "vocab.json").read_text()))
    assert [tokenizer.special[name] for name in SPECIAL_TOKENS] == list(
        range(words, words + len(SPECIAL_TOKENS))
    )
    assert tokenizer.size == words + len(SPECIAL_TOKENS)


def test_numbers_of_the_published_checkpoint() -> None:
    """Qwen2 has 151643 words; the model's embedding counts on these numbers."""
    first = 151643
    at = {name: first + place for place, name in enumerate(SPECIAL_TOKENS)}
    assert at["<|endofprompt|>"] == 151646
    assert first + len(SPECIAL_TOKENS) == 151663
    assert at["[breath]"] == 151647
    assert at["[mn]"] == 151662


def test_numbers_in_the_configuration_are_kept(folder: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    given_ids = {"900": {"content": "<|endoftext|>"}, "905": {"content": "<|other|>"}}
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"added_tokens_decoder": given_ids}))
    special = TextTokenizer.load(tmp_path).special
    assert special["<|endoftext|>"] == 900
    assert special["<|im_start|>"] == 906


@pytest.mark.parametrize("name", SPECIAL_TOKENS)
def test_text_never_gives_a_special_token(tokenizer: TextTokenizer, name: str) -> None:
    found = tokenizer.encode(f"hello {name} world")
    assert not set(found) & set(tokenizer.special.values())


def test_a_whole_file_gives_the_same(folder: Path, tmp_path: Path) -> None:
    parts = TextTokenizer.load(folder)
    bpe = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    bpe.save(str(tmp_path / "tokenizer.json"))
    whole = TextTokenizer.load(tmp_path)
    assert whole.special == parts.special
    assert whole.encode("hello the world 今天天气") == parts.encode("hello the world 今天天气")
    assert not set(whole.encode("<|endoftext|>")) & set(whole.special.values())


@given(st.text(st.sampled_from("今天气好我们你公园一百二十hel low")))
def test_any_stretch_between_tokens_stands_alone(text: str) -> None:
    """What the streaming of tokens rests on."""
    for spelling, _ in SHARED.words(text):
        tokens = SHARED.merge(spelling)
        ends = [0]
        for _, size in tokens:
            ends.append(ends[-1] + size)
        for first in range(len(tokens)):
            for last in range(first, len(tokens)):
                stretch = spelling[ends[first] : ends[last + 1]]
                assert SHARED.merge(stretch) == tokens[first : last + 1]


def test_open_starts_are_where_a_longer_token_may_begin(tokenizer: TextTokenizer) -> None:
    spelling = tokenizer.words("hell")[0][0]
    assert tokenizer.open_starts(spelling) == [0, 3, 4]  # hell-o, l-d
    assert tokenizer.open_starts(tokenizer.words("hello")[0][0])[-1] == 5


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_missing_files(tmp_path: Path, missing: str) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(TokenizerError, match=missing):
        TextTokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", "{"),
        ("vocab.json", "[]"),
        ("merges.txt", "a b c d\nz"),
        ("tokenizer.json", "nonsense"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", '{"model": {"type": "WordPiece"}}'),
        ("tokenizer.json", '{"model": {"type": "BPE"}}'),
        ("tokenizer.json", '{"model": {"type": "BPE"}, "added_tokens": [{}]}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": [1]}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"1": {}}}'),
    ],
)
def test_malformed_files(tmp_path: Path, name: str, content: str) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(TokenizerError, match=name):
        TextTokenizer.load(tmp_path)


def test_users_may_write_no_control_tokens() -> None:
    assert not [name for name in MARKUP if name.startswith("<|")]


def _shared() -> TextTokenizer:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        write_tokenizer(Path(name))
        return TextTokenizer.load(Path(name))


SHARED = _shared()
