"""How speech tokens are drawn, and when speech counts as a loop.

Repetition-aware sampling (VALL-E 2, arXiv:2406.05370): draw from the nucleus q (the most probable tokens
until their mass reaches top_p, at most top_k of them, in proportion to their probability). If the drawn
token is among the last `win` decoded ids at least win * tau times, draw again, from all tokens but that
one, in proportion to p. With R the nucleus tokens that are repeated in this sense, the distribution of
the result has a closed form,

    P(t) = q(t) [t not in R] + sum over r in R, r != t, of q(r) p(t) / (1 - p(r))

so one uniform number per token suffices, and any backend can use it as a plain distribution.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from .interface import SamplingOptions

LONGEST_CYCLE: Final = 50
"""Tokens: 2 s. Longer cycles are whole words said again, which a text may ask for."""
_FEWEST_CYCLES: Final = 3


class LoopDetector:
    """Feed every token; True once the last `limit` tokens repeat one cycle at least three times."""

    def __init__(self, limit: int) -> None:
        """limit: tokens; 0 never finds a loop."""
        self._limit = limit
        self._recent: list[int] = []
        self._equal = [0] * (LONGEST_CYCLE + 1)

    def add(self, token: int) -> bool:
        recent, equal, limit = self._recent, self._equal, self._limit
        if not limit:
            return False
        found = False
        for period in range(1, min(len(recent), LONGEST_CYCLE) + 1):
            if recent[-period] == token:
                equal[period] += 1
                length = equal[period] + period
                found = found or length >= max(limit, _FEWEST_CYCLES * period)
            else:
                equal[period] = 0
        recent.append(token)
        if len(recent) > 2 * LONGEST_CYCLE:
            del recent[:LONGEST_CYCLE]
        return found


NO_TOKEN: Final = -1
"""Pads histories on the left."""


@dataclass(frozen=True, slots=True)
class RasParams:
    """Scalars for all rows, or tensors of shape [rows, 1]."""

    top_p: float | Tensor = 0.8
    top_k: int | Tensor = 25
    win: int | Tensor = 10
    tau: float | Tensor = 0.1

    @classmethod
    def of(cls, rows: Sequence[SamplingOptions], device: torch.device) -> RasParams:
        params = [(o.top_p, o.top_k, o.win, o.tau) for o in rows]
        if len(set(params)) == 1:
            return cls(*params[0])
        columns = torch.tensor(params, dtype=torch.float64, device=device)
        return cls(*(column.unsqueeze(1) for column in columns.unbind(1)))


def ras_distribution(logits: Tensor, history: Tensor, params: RasParams) -> Tensor:
    """The exact params of the drawn id, in float64.

    logits: [rows, ids], log-probabilities or anything that differs from them by a constant per row;
    -inf bans an id. At least one id per row must be finite.
    history: [rows, n] the last n decoded ids (fill tokens included), the newest last; n may be more than
    win. Where fewer were decoded, NO_TOKEN stands on the left: see `left_padded`.
    Returns probabilities [rows, ids] that sum to 1.
    """
    p = logits.double().softmax(-1)
    ranked, order = p.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1) - ranked
    rank = torch.arange(ranked.shape[-1], device=p.device)
    kept = ranked * ((before < params.top_p) & (rank < params.top_k))
    q = torch.zeros_like(p).scatter_(-1, order, kept)
    q = q / q.sum(-1, keepdim=True)

    others = 1.0 - p
    # 1 - p is inexact for a token that has nearly all of the mass: add up the others instead.
    top = order[:, :1]
    others.scatter_(-1, top, ranked[:, 1:].sum(-1, keepdim=True))
    # A token without any alternative is kept, repeated or not.
    repeated = (q > 0) & (others > 0) & _repeated(history, p, params)
    again = torch.where(repeated, q / others, 0.0)
    result = torch.where(repeated, 0.0, q) + p * (again.sum(-1, keepdim=True) - again)
    return result.clamp_(min=0.0)


def left_padded(decoded: Sequence[int], length: int) -> list[int]:
    """A row of `ras_distribution`'s history: the last `length` ids, after NO_TOKEN if there are fewer."""
    recent = list(decoded[-length:]) if length else []
    return [NO_TOKEN] * (length - len(recent)) + recent


def _repeated(history: Tensor, p: Tensor, params: RasParams) -> Tensor:
    count = history.shape[-1]
    age = torch.arange(count, 0, -1, device=history.device)
    seen = ((history >= 0) & (age <= params.win)).to(p.dtype)
    times = torch.zeros_like(p).scatter_add_(-1, history.clamp(min=0), seen)
    # A little below the product, which floating point may round up: 10 * 0.1 means 1.
    return times >= params.win * params.tau * (1.0 - 1e-9)


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The id at which the cumulative distribution passes `uniform`: [rows, ids], [rows] in [0, 1) -> [rows].

    Ids of probability 0 are never drawn.
    """
    mass = probabilities.cumsum(-1)
    total = mass[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))
    at = torch.minimum(uniform.unsqueeze(-1) * total, below)
    return torch.searchsorted(mass, at, right=True).squeeze(-1)


def sound(logits: Tensor) -> Tensor:
    """Rows from which a token can be drawn: [rows, ids] -> [rows].

    The others hold NaN or infinity, or bans only; what is drawn from them may be out of range.
    """
    return logits.amax(-1).isfinite()


@dataclass(frozen=True, slots=True)
class Draw:
    """How to draw one token. history: the last decoded ids. uniform: in [0, 1)."""

    banned: tuple[int, ...]
    history: Sequence[int]
    uniform: float
    options: SamplingOptions


def draw_tokens(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """A token for each row: [rows, ids] -> [rows]."""
    device = logits.device
    logits = _without_banned(logits, draws)
    if all(how.options.greedy for how in draws):
        return logits.argmax(-1)
    options = [how.options for how in draws]
    params = RasParams.of(options, device)
    history = _histories(draws, max(o.win for o in options), device)
    uniform = torch.tensor([how.uniform for how in draws], dtype=torch.float64, device=device)
    tokens = draw(ras_distribution(logits, history, params), uniform)
    if any(o.greedy for o in options):
        greedily = torch.tensor([o.greedy for o in options], device=device)
        tokens = torch.where(greedily, logits.argmax(-1), tokens)
    return tokens


def _without_banned(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """-inf at each row's banned ids. Rows share few lists of them, and a list may be long."""
    kinds = {banned: place for place, banned in enumerate({how.banned: None for how in draws})}
    if not any(kinds):
        return logits
    masks = torch.stack([_mask(banned, logits.shape[-1], logits.device) for banned in kinds])
    rows = torch.tensor([kinds[how.banned] for how in draws], device=logits.device)
    return logits.masked_fill(masks[rows], float("-inf"))


@lru_cache(maxsize=64)
def _mask(banned: tuple[int, ...], size: int, device: torch.device) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool, device=device)
    mask[list(banned)] = True
    return mask


def _histories(draws: Sequence[Draw], length: int, device: torch.device) -> Tensor:
    rows = [left_padded(how.history, length) for how in draws]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(len(draws), length)


class UniformSource:
    """A stream's own random numbers: equal seeds, equal numbers, whatever other streams draw."""

    _BLOCK = 64

    def __init__(self, seed: int | None) -> None:
        self._generator = torch.Generator().manual_seed(
            secrets.randbits(63) if seed is None else seed & (2**63 - 1)
        )
        self._block: list[float] = []

    def next(self) -> float:
        if not self._block:
            numbers = torch.rand(self._BLOCK, generator=self._generator, dtype=torch.float64)
            self._block = numbers.tolist()[::-1]
        return self._block.pop()

    def numbers(self, begin: int, end: int) -> list[float]:
        """The numbers at places begin to end of a source that has given none yet."""
        return [self.next() for _ in range(end)][begin:]
