import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosyserve.engine.embedded.engine import EmbeddedEngine
from support.engines.embedded import check_words, running, speak


@pytest.fixture(scope="module")
def running_engine() -> Iterator[tuple[asyncio.Runner, EmbeddedEngine]]:
    with asyncio.Runner() as runner:
        context = running()
        yield runner, runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


VOICES = st.sampled_from(["hanna", "alba"])


@settings(max_examples=150)
@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=3), VOICES)
def test_any_text_is_spoken_the_same_in_any_pieces(
    running_engine: tuple[asyncio.Runner, EmbeddedEngine], text: str, cuts: list[int], voice: str
) -> None:
    runner, engine = running_engine
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    speech = runner.run(speak(engine, [text[a:b] for a, b in pairwise(edges)], voice))
    assert all(len(chunk.samples) for chunk in speech.chunks)
    check_words(speech.words, len(text), speech.seconds)
    assert abs(speech.seconds - runner.run(speak(engine, text, voice)).seconds) < 0.02
    assert engine.stats()["worker_restarts_total"] == 0


PARTS = st.one_of(
    st.sampled_from(
        ["word", "I", "no one", "état", "can’t", "слово", "行", "银行", "他得", "哪儿"]
    ),
    st.sampled_from(["7", "2024", "3.14", "OK", "U.S.A.", "mother-in-law", "兄弟", "长大了"]),
    st.text(st.sampled_from(" ,.;:!?…—–-'’\"“”()，。、！《》/&%*_"), min_size=1, max_size=3),
)


@settings(max_examples=150)
@given(st.lists(PARTS, max_size=10).map("".join), VOICES)
def test_every_letter_and_digit_is_in_one_word(
    running_engine: tuple[asyncio.Runner, EmbeddedEngine], text: str, voice: str
) -> None:
    runner, engine = running_engine
    speech = runner.run(speak(engine, text, voice))
    check_words(speech.words, len(text), speech.seconds)
    told = "".join(text[word.text_begin : word.text_end] for word in speech.words)
    assert [char for char in told if char.isalnum()] == [char for char in text if char.isalnum()]
