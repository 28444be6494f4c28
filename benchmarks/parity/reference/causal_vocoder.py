"""CosyVoice 3's vocoder in the reference's layout: a whole mel at once.

    inference           mel [1, 80, T] -> wave [1, n]
    predict             mel [1, 80, T] -> F0 [1, T], float64
    source              f0 [1, T] -> excitation [1, 480 T]
    decode              mel [1, 80, T], source [1, n] -> wave [1, n]

finalize: the mel ends here. Else the last frames serve as look-ahead only: n is what is settled, which is
more than the reference gives out.
"""

from __future__ import annotations

import math
import zlib
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import MEL_HOP, SAMPLE_RATE
from cosyserve.engine.cosyvoice.vocoder import CausalHift
from cosyserve.engine.cosyvoice.vocoder.causal_layers import (
    CausalF0Predictor,
    CausalTails,
    reflect_left,
    reflect_right,
)
from cosyserve.engine.cosyvoice.vocoder.layers import columns
from cosyserve.engine.cosyvoice.vocoder.source import cycles_per_frame

from .vocoder import Phase

HELD_BACK: Final = 8
"""Frames whose sound the reference holds back."""


def recipe_noise(tag: str, samples: int) -> Tensor:
    """[1, samples, 9], uniform: what stands for the reference's buffer in the golden vectors `tag`."""
    random = torch.Generator().manual_seed(zlib.crc32(f"{tag}/noise".encode()))
    return torch.rand((samples, 9), generator=random)[None]


@torch.inference_mode()
def inference(
    hift: CausalHift,
    mel: Tensor,
    *,
    finalize: bool = True,
    noise: Tensor | None = None,
    phase: Phase = Phase.EXACT,
) -> Tensor:
    """noise [1, at least 480 T, 9]: uniform in [0, 1), from the first sample on; None for none."""
    f0 = predict(hift, mel, finalize=finalize)
    return decode(hift, mel, source(hift, f0, noise, phase), finalize=finalize)


@torch.inference_mode()
def predict(hift: CausalHift, mel: Tensor, *, finalize: bool = True) -> Tensor:
    """Not finalize: of all frames but the last three."""
    seen = F.pad(mel, (0, CausalF0Predictor.AHEAD)) if finalize else mel
    tails = CausalTails(mel.new_zeros(mel.shape[0], hift.f0_tail_elements, dtype=torch.float64))
    return hift.f0_predictor.run(seen, tails)


@torch.inference_mode()
def source(
    hift: CausalHift, f0: Tensor, noise: Tensor | None = None, phase: Phase = Phase.EXACT
) -> Tensor:
    harmonics = hift.config.harmonics + 1
    if phase is Phase.REFERENCE:
        f0 = f0.float()
        cycles = _reference_cycles(f0, harmonics)
    else:
        cycles = cycles_per_frame(f0, harmonics).cumsum(1)
    given = None if noise is None else noise[:, : f0.shape[1] * MEL_HOP]
    return hift.excite(f0, cycles, given)


def _reference_cycles(f0: Tensor, harmonics: int) -> Tensor:
    """The radians that the reference sums in fp32, as cycles in float64, which lose nothing of them."""
    order = torch.arange(1, harmonics + 1, device=f0.device, dtype=f0.dtype)
    per_sample = f0[..., None] * order / SAMPLE_RATE % 1
    radians = per_sample.cumsum(1) * 2 * math.pi * MEL_HOP
    return radians.double() / (2 * math.pi)


@torch.inference_mode()
def decode(hift: CausalHift, mel: Tensor, source: Tensor, *, finalize: bool = True) -> Tensor:
    """Not finalize: all that is settled of the first T - look_right frames' sound."""
    size, hop, right = hift.config.n_fft, hift.config.hop, hift.config.look_right
    seen = F.pad(mel, (0, right)) if finalize else mel
    frames = seen.shape[2] - right
    padded = reflect_left(source, size // 2)
    if finalize:
        padded = reflect_right(padded, size // 2)
    spectra = columns(padded[:, : frames * MEL_HOP + size], size, hop)
    tails = CausalTails(mel.new_zeros(mel.shape[0], hift.tail_elements))
    made = hift.spectrum(seen, spectra, tails, first=True)
    overlap = mel.new_zeros(mel.shape[0], hift.overlap_add.kept)
    return hift.sound(made, overlap, first=True, final=finalize)[0]
