from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from cosyserve.training.schedule import Schedule, train
from cosyserve.training.work import Log

SCHEDULE = Schedule(steps=9, batch=1, rate=0.1, warm_up=3, log_every=3, save_every=2)


class Stopped(Exception): ...


def run(folder: Path, stop: int | None = None) -> nn.Linear:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)

    def losses(step: int, choice: random.Random) -> dict[str, torch.Tensor]:
        if step == stop:
            raise Stopped
        return {"loss": (module(torch.randn(4, 3)) - choice.random()).square().mean()}

    folder.mkdir(exist_ok=True)
    train(folder, module, SCHEDULE, losses, Log(folder / "log.jsonl", "test"))
    return module


@pytest.mark.parametrize("stop", [1, 2, 5, 8])
def test_a_stopped_training_arrives_at_the_same_weights(tmp_path: Path, stop: int) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Stopped):
        run(tmp_path / "parts", stop)
    assert torch.equal(run(tmp_path / "parts").weight, whole.weight)


def test_a_finished_training_is_loaded(tmp_path: Path) -> None:
    weights = run(tmp_path).weight
    assert torch.equal(run(tmp_path, stop=0).weight, weights)


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="step 0: the loss is nan"):
        train(
            tmp_path,
            module,
            SCHEDULE,
            lambda step, choice: {"loss": module.weight.sum() * float("nan")},
            Log(tmp_path / "log.jsonl", "test"),
        )


def test_the_rate_rises_and_falls() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(SCHEDULE.steps)]
    assert rates[0] < rates[1] < max(rates)
    assert rates[-1] < 0.2 * SCHEDULE.rate
