from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from cosyserve.engine.cosyvoice.text import TextTokenizer
from cosyserve.training.corpus.texts import sentences
from cosyserve.training.lm.text import learn, placed

TEXTS = sentences()[:400]


def test_tokens_say_which_characters_they_are(tmp_path: Path) -> None:
    tokenizer = learn(TEXTS, 400, tmp_path / "text")
    for text in TEXTS[:20]:
        ids, spans = placed(tokenizer, text)
        assert ids == tokenizer.encode(text)
        assert [spans[0][0], spans[-1][1]] == [0, len(text)]
        assert all(one[1] == two[0] for one, two in pairwise(spans))


def test_the_product_loads_what_was_learned(tmp_path: Path) -> None:
    made = learn(TEXTS, 500, tmp_path / "text")
    loaded = TextTokenizer.load(tmp_path / "text")
    assert loaded.encode(TEXTS[0]) == made.encode(TEXTS[0])
    assert sum(map(len, TEXTS)) / sum(len(loaded.encode(text)) for text in TEXTS) > 1.5
