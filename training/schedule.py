"""The training loop that all stages share: it goes on after a kill, and arrives where it would have been."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from .products import OneDnnLinear
from .work import Log

_STATE: Final = "state.pt"
_CLIP: Final = 1.0
_BETAS: Final = (0.9, 0.98)
_LAST_SHARE: Final = 0.05
"""Of the learning rate, at the end."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """steps: in all. batch: rows in a step. rate: the highest learning rate, after `warm_up` steps; it falls
    along a cosine. log_every, save_every: steps between two lines of the log, and between two saved states.
    """

    steps: int
    batch: int
    rate: float
    warm_up: int = 50
    decay: float = 0.01
    log_every: int = 20
    save_every: int = 200
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warm_up))
        fallen = 0.5 + 0.5 * math.cos(math.pi * step / self.steps)
        return self.rate * warm * (_LAST_SHARE + (1 - _LAST_SHARE) * fallen)

    def done(self, step: int) -> float:
        """The share of the training that lies behind a step, 0 to 1."""
        return step / self.steps


Losses = Mapping[str, Tensor | float]
"""What a step gives: `loss`, which is minimised, and what else belongs into the log."""


def train(
    folder: Path,
    module: nn.Module,
    schedule: Schedule,
    losses: Callable[[int, random.Random], Losses],
    log: Log,
    measure: Callable[[], Mapping[str, float]] = dict,
) -> None:
    """Train the module's parameters in place, from the state in `folder` on if there is one.

    losses: of a step, with the step's own source of randomness; torch's is seeded anew for each step, too. So
        a run that was killed and goes on arrives at the same weights as one that was not.
    measure: what else belongs into each line of the log. It must not change the module.

    Raises FloatingPointError where a loss is not finite; the last state saved stays.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=schedule.rate, betas=_BETAS, weight_decay=schedule.decay
    )
    first = _restore(folder / _STATE, module, optimizer)
    module.train()
    sums: dict[str, float] = {}
    count, began = 0, time.monotonic()
    for step in range(first, schedule.steps):
        torch.manual_seed(schedule.seed * 1_000_003 + step)
        with OneDnnLinear():
            found = losses(step, random.Random(f"{schedule.seed} {step}"))
        loss = found["loss"]
        assert isinstance(loss, Tensor)
        if not bool(loss.isfinite()):
            raise FloatingPointError(f"step {step}: the loss is {loss.item()}")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(module.parameters(), _CLIP)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        optimizer.step()
        for name, value in found.items():
            number = value.detach() if isinstance(value, Tensor) else value
            sums[name] = sums.get(name, 0.0) + float(number)
        count, end = count + 1, step + 1
        if end % schedule.log_every == 0 or end == schedule.steps:
            seconds = (time.monotonic() - began) / count
            means = {name: total / count for name, total in sums.items()}
            means |= measure()
            log.write(step=end, of=schedule.steps, seconds_per_step=seconds, **means)
            sums, count, began = {}, 0, time.monotonic()
        if end % schedule.save_every == 0 or end == schedule.steps:
            _save(folder / _STATE, module, optimizer, end)
    module.eval()


def _save(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    temporary = path.with_suffix(".tmp")
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, temporary)
    os.replace(temporary, path)


def _restore(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """The number of steps done; 0 without a state."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
