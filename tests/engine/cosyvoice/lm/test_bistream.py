from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosyserve.benchmarks.parity.reference.lm import CLEAN, REFERENCE, Quirks, QuirkyBistream
from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import (
    Bistream,
    Composition,
    LmInput,
    LmLimits,
    Unistream,
    composition,
)
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt, LmTooLong, SamplingOptions

CONFIG = LmConfig(vocab_size=1000, speech_token_size=100)
IDS = IdSpace.of(CONFIG)


@dataclass
class Model:
    """Draws by a seed that its whole context fixes, as a greedy model does; keeps the books of a context."""

    plan: Composition
    context: list[int]
    speech: list[int]
    fills: float = 0.05

    def run(self) -> None:
        """All inputs that can be had now."""
        while (lm_input := self.plan.next_input()) is not None:
            assert self.plan.next_input() is None, "one input at a time"
            self.plan.ended(self.draw(lm_input))

    def draw(self, lm_input: LmInput) -> list[int]:
        assert lm_input.ids
        assert lm_input.max_tokens >= 1
        self.context.extend(lm_input.ids)
        tokens: list[int] = []
        while len(tokens) < lm_input.max_tokens:
            numbers = random.Random(hash(tuple(self.context)))
            token = numbers.randrange(CONFIG.speech_token_size)
            if numbers.random() < self.fills and len(tokens) >= lm_input.min_tokens:
                token = lm_input.stop_ids[0]
            tokens.append(token)
            if token in lm_input.stop_ids:
                break
            self.speech.append(token)
            if len(tokens) < lm_input.max_tokens:
                self.context.append(token)
        return tokens


def model(plan: Composition, fills: float = 0.05) -> Model:
    return Model(plan, [], [], fills)


def bistream(
    prompt: LmPrompt | None = None, quirks: Quirks = CLEAN, limits: LmLimits | None = None
) -> Bistream:
    given = CONFIG, prompt or LmPrompt(), limits or LmLimits()
    return Bistream(*given) if quirks == CLEAN else QuirkyBistream(*given, quirks)


def text(count: int, begin: int = 0) -> list[int]:
    return list(range(begin, begin + count))


def spoken(plan: Composition, pieces: list[list[int]], wait: list[bool]) -> Model:
    """Feed the pieces; where `wait` says so the model runs as far as it gets before the next."""
    found = model(plan)
    for piece, now in zip(pieces, wait, strict=True):
        plan.feed(piece)
        if now:
            found.run()
    plan.finish()
    found.run()
    assert plan.done
    return found


@given(
    size=st.integers(1, 60),
    prompt=st.tuples(st.integers(0, 20), st.integers(0, 70)),
    unistream=st.booleans(),
    data=st.data(),
)
@settings(max_examples=150)
def test_neither_cuts_nor_timing_change_the_context(
    size: int, prompt: tuple[int, int], unistream: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=12)) | {0, size})
    pieces = [text(end - begin, begin) for begin, end in pairwise(cuts)]
    wait = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))

    def plan() -> Composition:
        before = LmPrompt(tuple(text(prompt[0], 500)), tuple(text(prompt[1])))
        return composition(CONFIG, before, SamplingOptions(bistream=not unistream), 10_000)

    whole = spoken(plan(), [text(size)], [False])
    parts = spoken(plan(), pieces, wait)
    assert parts.context == whole.context
    assert parts.speech == whole.speech
    fed = [i for i in whole.context if i >= IDS.text_begin]
    assert fed == list(IDS.text([*text(prompt[0], 500), *text(size)]))
    assert whole.context.count(IDS.task) == 1
    assert 2 * size <= len(whole.speech)


def test_groups_of_text_and_speech_alternate() -> None:
    plan = bistream()
    plan.feed(text(5))
    lm_input = plan.next_input()
    assert lm_input == LmInput(
        ids=(IDS.sos, *IDS.text(text(5))),
        max_tokens=15,
        min_tokens=0,
        stop_ids=(IDS.fill,),
        banned_ids=(IDS.eos, IDS.unused),
        final=False,
    )
    plan.ended(text(15))
    assert plan.decoded == [*text(15), IDS.fill]
    assert plan.next_input() is None
    plan.feed(text(7))
    lm_input = plan.next_input()
    assert lm_input is not None
    assert lm_input.ids == (14, *IDS.text(text(5))), "the 15th token is read with the next text"
    plan.ended([3, 4, IDS.fill])
    plan.finish()
    lm_input = plan.next_input()
    assert lm_input == LmInput(
        ids=(*IDS.text([5, 6]), IDS.task),
        max_tokens=12 * 20 - 17,
        min_tokens=12 * 2 - 17,
        stop_ids=(IDS.eos,),
        banned_ids=(IDS.unused, IDS.fill),
        final=True,
    )
    plan.ended([9] * 10 + [IDS.eos])
    assert plan.done
    assert plan.next_input() is None


def test_the_prompt_fills_the_first_places() -> None:
    plan = bistream(LmPrompt(tuple(text(6)), tuple(text(20))))
    assert plan.next_input() is None, "without a text of its own there is nothing to say"
    plan.feed([100, 101, 102])
    assert plan.next_input() is None, "5 speech tokens of the prompt still want a group"
    plan.feed([103])
    lm_input = plan.next_input()
    assert lm_input is not None
    first, second = IDS.text(text(5)), IDS.text([5, 100, 101, 102, 103])
    assert lm_input.ids == (IDS.sos, *first, *text(15), *second, *text(5, 15))
    assert lm_input.max_tokens == 10


def test_prompt_speech_without_text_follows_the_task() -> None:
    prompt = LmPrompt((1, 2, 3), tuple(text(20)))
    for quirks, tail in ((CLEAN, text(20)), (REFERENCE, [])):
        plan = bistream(prompt, quirks)
        plan.feed([4])
        plan.finish()
        lm_input = plan.next_input()
        assert lm_input is not None
        assert lm_input.ids == (IDS.sos, *IDS.text([1, 2, 3, 4]), IDS.task, *tail)


def test_a_group_per_piece_is_a_quirk() -> None:
    def groups(quirks: Quirks) -> int:
        plan = bistream(quirks=quirks)
        found = model(plan, fills=0.0)
        plan.feed(text(20))
        found.run()
        return plan.decoded.count(IDS.fill)

    assert groups(CLEAN) == 4
    assert groups(Quirks(one_group_per_piece=True)) == 1


def test_a_unistream_waits_for_the_whole_text() -> None:
    plan = Unistream(CONFIG, LmPrompt((1, 2), (7, 8)), LmLimits())
    plan.feed([3])
    assert plan.next_input() is None
    plan.feed([4])
    plan.finish()
    lm_input = plan.next_input()
    assert lm_input is not None
    assert lm_input.ids == (IDS.sos, *IDS.text([1, 2, 3, 4]), IDS.task, 7, 8)
    assert (lm_input.min_tokens, lm_input.max_tokens, lm_input.final) == (4, 40, True)
    plan.ended([1] * 40)
    assert plan.done


@pytest.mark.parametrize("unistream", [True, False])
def test_without_text_there_is_no_speech(unistream: bool) -> None:
    prompt = LmPrompt(tuple(text(30)), tuple(text(30)))
    plan = composition(CONFIG, prompt, SamplingOptions(bistream=not unistream), 10_000)
    plan.feed([])
    assert plan.next_input() is None
    plan.finish()
    assert plan.next_input() is None
    assert plan.done


def test_speech_is_capped_by_the_text() -> None:
    plan = bistream(limits=LmLimits(min_ratio=0, max_ratio=3))
    plan.feed(text(5))
    found = model(plan, fills=0.0)
    found.run()
    plan.finish()
    found.run()
    assert plan.done
    assert len(found.speech) == 15
    assert IDS.task not in found.context


def test_a_context_that_is_too_long_is_an_error() -> None:
    limits = LmLimits(max_context=40)
    with pytest.raises(LmTooLong):
        bistream(LmPrompt((), tuple(text(40))), limits=limits)
    plan = bistream(limits=limits)
    plan.feed(text(30))
    with pytest.raises(LmTooLong):
        model(plan, fills=0.0).run()
    last = Unistream(CONFIG, LmPrompt(), limits)
    last.feed(text(30))
    last.finish()
    lm_input = last.next_input()
    assert lm_input is not None
    assert len(lm_input.ids) + lm_input.max_tokens == 40, "the final input takes what room there is"


@pytest.mark.parametrize("bad", [-1, 1000])
def test_text_ids_out_of_range_are_refused(bad: int) -> None:
    plan = bistream()
    with pytest.raises(ValueError, match="text id"):
        plan.feed([1, bad])
    with pytest.raises(ValueError, match="text id"):
        bistream(LmPrompt((bad,), ()))
    plan.finish()
    assert plan.next_input() is None, "nothing of a refused piece is kept"
    assert plan.done


@pytest.mark.parametrize("bad", [-1, 100])
def test_stop_ids_are_no_prompt_speech(bad: int) -> None:
    with pytest.raises(ValueError, match="speech token"):
        bistream(LmPrompt((), (bad,)))


def test_calls_out_of_order_are_refused() -> None:
    plan = bistream()
    with pytest.raises(ValueError, match="no input"):
        plan.ended([1])
    plan.feed(text(5))
    plan.next_input()
    with pytest.raises(ValueError, match="do not end"):
        plan.ended([1, 2])
    plan.finish()
    with pytest.raises(ValueError, match="finished"):
        plan.feed([1])
