"""A tiny vocoder with the golden weights, and ways to run it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import HiftConfig
from cosyserve.engine.cosyvoice.vocoder import Hift, StreamPolicy, VocoderState

from . import goldens


def hift_config() -> HiftConfig:
    return goldens.GOLDENS.config().hift


def golden_hift() -> Hift:
    return goldens.models().hift


def random_mel(frames: int, seed: int) -> Tensor:
    """[80, frames], as smooth in time and as loud as the golden mels."""
    noise = torch.randn(80, 1, frames + 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.conv1d(noise, torch.hann_window(9)[None, None])[:, 0]
    return smooth / smooth.std() * 1.3


def in_steps(
    hift: Hift, state: VocoderState, mel: Tensor, hops: Sequence[int], speed: float = 1.0
) -> list[Tensor]:
    """The waves of one utterance, `mel` cut into `hops` (the last one final, taking the rest)."""
    waves = []
    begin = 0
    for index, hop in enumerate(hops):
        last = index == len(hops) - 1
        end = mel.shape[1] if last else min(begin + hop, mel.shape[1])
        waves += hift.step([state], [mel[:, begin:end]], [last], [speed])
        begin = end
    return waves


def at_once(
    hift: Hift,
    mel: Tensor,
    policy: StreamPolicy | None = None,
    seed: int | None = None,
    speed: float = 1.0,
) -> Tensor:
    return in_steps(hift, hift.start(policy, seed), mel, [mel.shape[1]], speed)[0]
