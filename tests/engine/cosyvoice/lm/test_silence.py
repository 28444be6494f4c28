"""Rows of silent speech tokens, against the reference's lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.families import COSYVOICE2, COSYVOICE3
from cosyserve.engine.cosyvoice.lm.silence import SilenceFilter
from support.engines import goldens3

META = goldens3.GOLDENS.meta("e_token2wav_loop")
SILENCE = COSYVOICE3.silence


def test_the_silent_tokens_are_the_references() -> None:
    assert SILENCE is not None
    assert sorted(SILENCE.tokens) == META["silent_ids"]
    assert SILENCE.most == META["max_silent_token_num"]


@pytest.mark.parametrize("case", META["silent_lists"])
def test_golden_lists(case: dict[str, list[int]]) -> None:
    assert list(SilenceFilter(SILENCE).feed(case["in"])) == case["out"]


def test_a_whole_golden_utterance() -> None:
    arrays = goldens3.GOLDENS.arrays("e_token2wav_loop")
    tokens = arrays["silent_token"].flatten().tolist()
    assert list(SilenceFilter(SILENCE).feed(tokens)) == arrays["silent_kept"].flatten().tolist()


@given(st.lists(st.lists(st.sampled_from([1, 2, 28, 7]), max_size=9)))
def test_the_cuts_change_nothing(pieces: list[list[int]]) -> None:
    one, parts = SilenceFilter(SILENCE), SilenceFilter(SILENCE)
    whole = list(one.feed([token for piece in pieces for token in piece]))
    assert [token for piece in pieces for token in parts.feed(piece)] == whole


def test_cosyvoice_2_speaks_all_tokens() -> None:
    tokens = [1] * 50
    assert SilenceFilter(COSYVOICE2.silence).feed(tokens) == tokens
