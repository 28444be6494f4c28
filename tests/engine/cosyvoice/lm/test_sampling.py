from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.lm import params_of
from cosyserve.engine.cosyvoice.lm.interface import SamplingOptions
from cosyserve.engine.cosyvoice.lm.sampling import (
    NO_TOKEN,
    RasParams,
    UniformSource,
    draw,
    left_padded,
    ras_distribution,
)
from support.engines import goldens

META = goldens.meta("f_ras_sampling")
CASES = [case["case"] for case in META["cases"]]
LAW = params_of(META)


def golden(name: str) -> tuple[Tensor, Tensor, Tensor]:
    arrays = goldens.tensors("f_ras_sampling")
    return tuple(arrays[f"{name}_{part}"] for part in ("logp", "decoded", "prob"))  # type: ignore[return-value]


def padded(history: Tensor, length: int) -> Tensor:
    return torch.tensor(left_padded(history.tolist(), length))


def test_a_short_history_is_padded_on_the_left() -> None:
    assert left_padded([1, 2], 4) == [NO_TOKEN, NO_TOKEN, 1, 2]
    assert left_padded([1, 2, 3], 2) == [2, 3]
    assert left_padded([1, 2, 3], 0) == []


@pytest.mark.parametrize("name", CASES)
def test_the_law_is_the_golden_one(name: str) -> None:
    logp, decoded, wanted = golden(name)
    found = ras_distribution(logp[None], padded(decoded, 10)[None], LAW)[0]
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0.0)


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    parts = [golden(name) for name in CASES]
    logp = torch.stack([part[0] for part in parts])
    history = torch.stack([padded(part[1], 20) for part in parts])
    wanted = torch.stack([part[2] for part in parts])
    options = [SamplingOptions(), *[SamplingOptions(top_k=25 + i) for i in range(len(parts) - 1)]]
    torch.testing.assert_close(ras_distribution(logp, history, LAW), wanted, atol=1e-6, rtol=0.0)
    mixed = ras_distribution(logp, history, RasParams.of(options, torch.device("cpu")))
    torch.testing.assert_close(mixed[0], wanted[0], atol=1e-6, rtol=0.0)
    # The flat case has its nucleus cut at 25 tokens: more of them change the params.
    flat = CASES.index("flat")
    assert not torch.allclose(mixed[flat], wanted[flat], atol=1e-4)


def test_banned_ids_have_no_probability_and_are_never_drawn() -> None:
    logits = torch.zeros(3, 8)
    logits[:, [0, 5, 7]] = -math.inf
    params = ras_distribution(logits, torch.full((3, 10), 2), RasParams(top_p=1.0))
    assert params[:, [0, 5, 7]].eq(0).all()
    torch.testing.assert_close(params.sum(-1), torch.ones(3, dtype=torch.float64))
    edges = torch.tensor([0.0, 0.5, 1.0 - 2**-53], dtype=torch.float64)
    assert draw(params, edges).tolist()[0] == 1
    assert set(draw(params, edges).tolist()) <= {1, 2, 3, 4, 6}


def test_a_token_with_nearly_all_of_the_mass_gives_way_exactly() -> None:
    logits = torch.tensor([[60.0, 1.0, 0.0]], dtype=torch.float64)
    found = ras_distribution(logits, torch.tensor([[0]]), RasParams())[0]
    wanted = torch.tensor([1.0, 0.0], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(found[1:], wanted, atol=1e-12, rtol=0.0)
    assert found[0] == 0


def test_a_token_without_alternative_is_kept() -> None:
    logits = torch.tensor([[0.0, -math.inf, -math.inf]])
    assert ras_distribution(logits, torch.tensor([[0]]), RasParams())[0].tolist() == [1.0, 0.0, 0.0]


def chi_square(counts: Counter[int], params: Tensor, draws: int) -> tuple[float, int]:
    """The statistic and its degrees of freedom; ids expected fewer than 5 times count together."""
    total, cells, rest_seen, rest_expected = 0.0, 0, 0, 0.0
    for token, probability in enumerate(params.tolist()):
        expected = draws * probability
        if expected >= 5:
            total += (counts[token] - expected) ** 2 / expected
            cells += 1
        else:
            rest_seen += counts[token]
            rest_expected += expected
    # Draws that the params all but rules out weigh heavily.
    total += (rest_seen - rest_expected) ** 2 / max(rest_expected, 1.0)
    return total, cells


def critical(freedom: int) -> float:
    """The chi-square quantile at 0.9999 (Wilson and Hilferty's approximation)."""
    spread = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - spread + 3.719 * math.sqrt(spread)) ** 3


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_the_law_and_no_other(name: str) -> None:
    logp, decoded, wanted = golden(name)
    draws = 20_000
    source = UniformSource(seed=7)
    uniform = torch.tensor([source.next() for _ in range(draws)], dtype=torch.float64)
    params = ras_distribution(logp[None], padded(decoded, 10)[None], LAW)
    counts = Counter(draw(params.expand(draws, -1), uniform).tolist())
    statistic, freedom = chi_square(counts, wanted, draws)
    assert statistic < critical(freedom)
    # The test has power: the plain softmax is told apart, and so is the plain nucleus where it differs.
    nothing = torch.full((1, 10), NO_TOKEN)
    nucleus = ras_distribution(logp[None], nothing, LAW)[0]
    others = [logp.double().softmax(0)]
    if not torch.allclose(nucleus, wanted, atol=1e-3):
        others.append(nucleus)
    for other in others:
        statistic, freedom = chi_square(counts, other, draws)
        assert statistic > critical(freedom)
    assert len(others) == 2 or name in ("peaked", "flat", "mid_win"), "nothing is repeated there"


def test_equal_seeds_give_equal_numbers() -> None:
    def numbers(seed: int | None) -> list[float]:
        source = UniformSource(seed)
        return [source.next() for _ in range(200)]

    assert numbers(3) == numbers(3)
    assert numbers(3) != numbers(4)
    assert numbers(None) != numbers(None)
    assert all(0.0 <= number < 1.0 for number in numbers(-1))
