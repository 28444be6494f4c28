"""What is learned is what is read: the product's own compositions read the same ids in the same order."""

from __future__ import annotations

import math
import random

import pytest

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import Bistream, Composition, LmLimits, Unistream
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt
from cosyserve.training.lm.sequences import (
    IGNORED,
    AlignedText,
    Row,
    batch_of,
    bistream,
    unistream,
)

CONFIG = LmConfig(vocab_size=50, speech_token_size=729)
SPACE = IdSpace.of(CONFIG)


def spoken(text: int, codes: int, first: int = 0) -> AlignedText:
    choice = random.Random(text * 1000 + codes + first)
    return AlignedText(
        text_ids=tuple(choice.randrange(50) for _ in range(text)),
        spans=tuple((3 * i, 3 * i + 3) for i in range(text)),
        codes=tuple(choice.randrange(729) for _ in range(codes)),
        characters=tuple(3 * text * i / codes for i in range(codes)),
        phonemes=tuple(1 + i % 40 for i in range(codes)),
        length=3 * text,
    )


def read_by_the_product(composition: Composition, aligned: AlignedText) -> list[int]:
    """The context after the whole text and, as if the model had drawn them, all codes."""
    composition.feed(aligned.text_ids)
    composition.finish()
    codes, context = list(aligned.codes), []
    while (lm_input := composition.next_input()) is not None:
        context += lm_input.ids
        if lm_input.final:
            composition.ended([*codes, SPACE.eos])
            return context + codes
        drawn, codes = codes[: lm_input.max_tokens], codes[lm_input.max_tokens :]
        composition.ended(drawn)
        context += drawn[:-1]  # the last one opens the next input
    raise AssertionError("the product stopped early")


@pytest.mark.parametrize(("text", "codes"), [(1, 4), (5, 15), (7, 40), (10, 30), (12, 77)])
def test_both_orders_are_the_products(text: int, codes: int) -> None:
    aligned = spoken(text, codes)
    limits = LmLimits(max_ratio=100)
    assert unistream(aligned, SPACE).ids == read_by_the_product(
        Unistream(CONFIG, LmPrompt(), limits), aligned
    )
    row = bistream(aligned, SPACE, CONFIG)
    assert row is not None
    assert row.ids == read_by_the_product(Bistream(CONFIG, LmPrompt(), limits), aligned)


def asked(row: Row) -> list[int]:
    return [target for target in row.targets if target != IGNORED]


def test_each_code_is_asked_for_once_and_then_the_end() -> None:
    aligned = spoken(12, 77)
    assert asked(unistream(aligned, SPACE)) == [*aligned.codes, SPACE.eos]
    row = bistream(aligned, SPACE, CONFIG)
    assert row is not None
    codes = aligned.codes
    fill = SPACE.fill
    assert asked(row) == [*codes[:15], fill, *codes[15:30], fill, *codes[30:], SPACE.eos]


def test_what_is_asked_for_has_its_place_in_the_text() -> None:
    aligned = spoken(7, 40)
    row = bistream(aligned, SPACE, CONFIG)
    assert row is not None
    for target, phoneme, at in zip(row.targets, row.phonemes, row.characters, strict=True):
        assert math.isnan(at) is (target in (IGNORED, SPACE.fill, SPACE.eos))
        assert (phoneme == 0) is math.isnan(at)


def test_short_speech_has_no_groups() -> None:
    assert bistream(spoken(10, 29), SPACE, CONFIG) is None


def test_a_pair_is_one_text() -> None:
    one, two = spoken(4, 20), spoken(6, 30, first=1)
    both = one.followed([7, 7], two)
    assert both.codes == (*one.codes, 7, 7, *two.codes)
    assert both.text_ids == (*one.text_ids, *two.text_ids)
    assert both.spans[4] == (13, 16)
    assert both.characters[22] == two.characters[0] + 13
    assert len(both.characters) == len(both.phonemes) == len(both.codes)


def test_another_text_is_as_long() -> None:
    other = spoken(8, 40).with_text_of(spoken(3, 12))
    assert len(other.text_ids) == 8
    assert other.codes == spoken(8, 40).codes


def test_nothing_is_asked_for_after_a_rows_end() -> None:
    batch = batch_of([unistream(spoken(3, 9), SPACE), unistream(spoken(5, 20), SPACE)])
    assert batch.ids.shape == (2, 27)
    assert batch.targets[0, 14:].eq(IGNORED).all()
    assert batch.spans.shape == (2, 27, 2)
