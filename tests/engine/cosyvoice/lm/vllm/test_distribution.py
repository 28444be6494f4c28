"""The tokens that vLLM gives follow the exact distribution of repetition-aware sampling, and no other."""

from __future__ import annotations

import asyncio
import math

import pytest
import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.lm.bistream import LmLimits, Unistream
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.lm.sampling import RasParams, ras_distribution
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from support.engines import tiny_lm
from support.engines.tiny_lm import read

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

DRAWS = 1500
AT_ONCE = 50
TEXT = [17, 80, 205]
PROMPT = LmPrompt((3,), (40, 41))
ONE_TOKEN = LmLimits(min_ratio=0.0, max_ratio=1 / len(TEXT), max_context=512)


def logits() -> tuple[Tensor, tuple[int, ...]]:
    """Of the first token, as torch computes them, and the ids that cannot be drawn."""
    decoder = LmDecoder(tiny_lm.model())
    plan = Unistream(decoder.config, PROMPT, ONE_TOKEN)
    plan.feed(TEXT)
    plan.finish()
    lm_input = plan.next_input()
    assert lm_input is not None
    assert lm_input.max_tokens == 1
    hidden = decoder.forward([Span(0, 0, lm_input.ids)], decoder.new_cache())
    found = decoder.logits(hidden[-1:])[0].double()
    found[list(lm_input.banned_ids)] = float("-inf")
    return found, lm_input.banned_ids


def distribution(scores: Tensor, history: list[int], options: SamplingOptions) -> Tensor:
    past = torch.tensor([history or [-1]])
    named = RasParams(options.top_p, options.top_k, options.win, options.tau)
    return ras_distribution(scores.unsqueeze(0), past, named)[0]


def excess(counts: Tensor, expected: Tensor) -> float:
    """Chi-square over the ids, those expected less than five times in one cell, in standard deviations
    of a chi-square of as many degrees of freedom (Wilson and Hilferty's approximation)."""
    rare = expected < 5
    cells = torch.cat((expected[~rare], expected[rare].sum().reshape(1)))
    seen = torch.cat((counts[~rare], counts[rare].sum().reshape(1)))
    if float(cells[-1]) < 1e-9:
        if int(seen[-1]):
            return math.inf
        cells, seen = cells[:-1], seen[:-1]
    degrees = len(cells) - 1
    square = float(((seen - cells) ** 2 / cells).sum())
    share = 2 / (9 * degrees)
    return ((square / degrees) ** (1 / 3) - (1 - share)) / math.sqrt(share)


async def draws(lm: VllmSpeechLM, history: list[int], options: SamplingOptions) -> Tensor:
    """How often each id came, of streams with seeds of their own."""

    async def one(seed: int) -> int:
        plan = Unistream(lm.config, PROMPT, ONE_TOKEN)
        plan.decoded.extend(history)
        how = SamplingOptions(
            seed, options.top_p, options.top_k, options.win, options.tau, bistream=False
        )
        stream = lm.open_composition(plan, how)
        await stream.feed(TEXT)
        await stream.finish()
        tokens = await read(stream)
        await stream.cancel()
        return (*tokens, IdSpace.of(lm.config).eos)[0]

    counts = torch.zeros(lm.config.head_size, dtype=torch.float64)
    for begin in range(0, DRAWS, AT_ONCE):
        for token in await asyncio.gather(*(one(seed) for seed in range(begin, begin + AT_ONCE))):
            counts[token] += 1
    return counts


PASSES, FAILS = 3.0, 6.0


async def test_the_distribution_with_repetitions(lm: VllmSpeechLM) -> None:
    scores, banned = logits()
    options = SamplingOptions(tau=0.2)
    order = scores.argsort(descending=True).tolist()
    # The first twice and the third, the second once, others outside of the nucleus.
    history = [order[0], order[60], order[2], order[0], order[1], order[2], order[61]]
    counts = await draws(lm, history, options)
    assert counts.sum() == DRAWS
    assert not counts[list(banned)].any()
    exact = distribution(scores, history, options)
    assert abs(excess(counts, DRAWS * exact)) < PASSES
    # What it must not be: each would be found out by so many draws.
    wrong = {
        "no repetition-awareness": distribution(scores, [], options),
        "another threshold": distribution(scores, history, SamplingOptions(tau=0.1)),
        "a shorter window": distribution(scores, history[-3:], options),
        "the plain softmax": scores.softmax(-1),
        "a smaller nucleus": distribution(scores, history, SamplingOptions(tau=0.2, top_p=0.7)),
        "repeated ids banned": distribution(banish(scores, history), [], options),
    }
    for name, other in wrong.items():
        assert excess(counts, DRAWS * other) > FAILS, name


def banish(scores: Tensor, history: list[int]) -> Tensor:
    kept = scores.clone()
    kept[[i for i in set(history) if history.count(i) >= 2]] = float("-inf")
    return kept


async def test_the_distribution_of_a_fresh_stream(lm: VllmSpeechLM) -> None:
    scores, _ = logits()
    options = SamplingOptions(top_k=12, top_p=0.9)
    counts = await draws(lm, [], options)
    assert abs(excess(counts, DRAWS * distribution(scores, [], options))) < PASSES
    for changed in (SamplingOptions(top_k=13, top_p=0.9), SamplingOptions(top_k=9, top_p=0.9)):
        assert excess(counts, DRAWS * distribution(scores, [], changed)) > PASSES
