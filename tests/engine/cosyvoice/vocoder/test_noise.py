from __future__ import annotations

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.vocoder.source import frame_noise, uniform_frame_noise

WIDTH = 4320


def noise(seed: int, first: int, frames: int) -> Tensor:
    return frame_noise([seed], [first], frames, WIDTH, torch.device("cpu"))[0]


def test_a_frame_s_noise_depends_on_seed_and_frame_only() -> None:
    whole = noise(7, 0, 12)
    assert torch.equal(whole[5:9], noise(7, 5, 4))
    batch = frame_noise([1, 7, 2], [0, 3, 9], 4, WIDTH, torch.device("cpu"))
    assert torch.equal(batch[1], whole[3:7])


def test_late_frames() -> None:
    late = 10_000_000
    assert torch.equal(noise(-3, late, 3)[1:], noise(-3, late + 1, 2))


def test_it_is_standard_normal() -> None:
    values = noise(0, 0, 60).double().flatten()
    count = len(values)
    assert bool(values.isfinite().all())
    assert abs(float(values.mean())) < 5 / count**0.5
    assert abs(float(values.var()) - 1) < 5 * (2 / count) ** 0.5
    assert abs(float((values**3).mean())) < 5 * (15 / count) ** 0.5
    assert abs(float((values**4).mean()) - 3) < 5 * (96 / count) ** 0.5
    within = float((values.abs() < 1).double().mean())
    assert abs(within - 0.6827) < 5 * (0.22 / count) ** 0.5


def test_neighbours_do_not_resemble_each_other() -> None:
    base = noise(1, 0, 8).double().flatten()
    bound = 5 / len(base) ** 0.5
    others = (noise(2, 0, 8), noise(1, 1, 8), noise(1, 0, 8).roll(1), noise(1, 0, 8).roll(9))
    for other in others:
        assert abs(float((base * other.double().flatten()).mean())) < bound
    # Both halves of a Box-Muller pair come from the same bits, yet are independent.
    frame = noise(1, 0, 8).double()
    halves = frame[:, : WIDTH // 2] * frame[:, WIDTH // 2 :]
    assert abs(float(halves.mean())) < 2 * bound


def test_uniform_noise_is_a_function_of_seed_and_frame_too() -> None:
    def uniform(seed: int, first: int, frames: int) -> Tensor:
        return uniform_frame_noise([seed], [first], frames, WIDTH, torch.device("cpu"))[0]

    whole = uniform(7, 0, 60)
    assert torch.equal(whole[5:9], uniform(7, 5, 4))
    assert not torch.equal(whole[5:9], uniform(8, 5, 4))
    values = whole.double().flatten()
    count = len(values)
    assert 0 <= float(values.min()) < 1e-4
    assert 1 - 1e-4 < float(values.max()) < 1
    for power in (1, 2, 3, 4):
        spread = (1 / (2 * power + 1) - 1 / (power + 1) ** 2) ** 0.5
        assert abs(float((values**power).mean()) - 1 / (power + 1)) < 5 * spread / count**0.5
