"""Stage `vocoder`: trains the product's own HiFT, by spectra at several resolutions, mel and F0."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import MEL_HOP, SAMPLE_RATE
from cosyserve.engine.cosyvoice.prompt import prompt_mel, slaney_filters
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.engine.cosyvoice.vocoder.source import cycles_per_frame

from .corpus import stage as data
from .corpus.shards import Corpus
from .recipe import Recipe
from .schedule import train
from .weights import half_rounded, save_tensors
from .work import WorkFolder

STAGE: Final = "vocoder"
WEIGHTS: Final = "hift.safetensors"
_FRAMES: Final = 40
"""Mel frames in a row."""
_EDGE: Final = 3
"""Frames at both ends of a row whose sound is not judged: the vocoder does not see what is beside them."""
_TRANSFORMS: Final = ((512, 128), (1024, 256), (2048, 512), (256, 64))
"""Sizes and hops of the spectra."""
_BANDS: Final = (1024, 100)
"""Size of the transform and number of the mel bands of the mel loss."""
_FLOOR: Final = 1e-5
_WEIGHTS: Final[Mapping[str, float]] = {"magnitude": 1.0, "spectra": 1.0, "mel": 2.0, "pitch": 1.0}
_QUIET: Final = 0.1
"""Factor on the last layer's first weights: it begins near silence instead of in noise."""
_FIRST_LOG: Final = -3.0
"""The first bias of the logarithms of magnitudes."""
_PITCH_SCALE: Final = 100.0
"""Hz that count as a loss of one."""
_COMPARED: Final = 8


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, FloatingPointError."""
    corpus, folder = Corpus(work.need(data.STAGE)), work.folder(STAGE)
    torch.manual_seed(recipe.vocoder.seed)
    hift = Hift(recipe.model.hift).requires_grad_(True)
    _quieten(hift)

    def losses(step: int, choice: random.Random) -> dict[str, Tensor]:
        mel, f0, wave = _draw(corpus, recipe.vocoder.batch, choice)
        return vocoder_losses(hift, mel, f0, wave)

    train(folder, hift, recipe.vocoder, losses, work.log(STAGE))
    half_rounded(hift)
    save_tensors(folder / WEIGHTS, hift.state_dict())
    return _figures(hift.requires_grad_(False), corpus)


def _quieten(hift: Hift) -> None:
    bins = hift.config.n_fft // 2 + 1
    with torch.no_grad():
        hift.conv_post.weight *= _QUIET
        assert hift.conv_post.bias is not None
        hift.conv_post.bias[:bins] = _FIRST_LOG


def _draw(corpus: Corpus, count: int, choice: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """mel [B, 80, T], f0 [B, T], wave [B, 480 T]."""
    rows = []
    long = [u for u in corpus.training if 2 * u.tokens >= _FRAMES]
    for recording in choice.choices(long, k=count):
        first = choice.randint(0, 2 * recording.tokens - _FRAMES)
        frames = slice(first, first + _FRAMES)
        samples = slice(first * MEL_HOP, (first + _FRAMES) * MEL_HOP)
        rows.append(
            (
                corpus.get(recording, "mel")[frames].T,
                corpus.get(recording, "f0")[frames],
                corpus.get(recording, "wave")[samples],
            )
        )
    mel, f0, wave = (torch.stack(parts) for parts in zip(*rows, strict=True))
    return mel, f0, wave


def vocoder_losses(hift: Hift, mel: Tensor, f0: Tensor, wave: Tensor) -> dict[str, Tensor]:
    """The source is excited by the true F0; the predictor learns beside it."""
    predicted = hift.f0_predictor(mel)
    made = hift.decode(mel, _source(hift, f0))
    inner = slice(_EDGE * MEL_HOP, -_EDGE * MEL_HOP)
    found, due = made[:, inner], wave[:, inner]
    magnitude, spectra = _spectral(found, due)
    parts = {
        "magnitude": magnitude,
        "spectra": spectra,
        "mel": (_log_mel(found) - _log_mel(due)).abs().mean(),
        "pitch": F.smooth_l1_loss(predicted / _PITCH_SCALE, f0 / _PITCH_SCALE),
    }
    loss = torch.stack([_WEIGHTS[name] * part for name, part in parts.items()]).sum()
    return {"loss": loss, **parts}


@torch.no_grad()
def _sines(hift: Hift, f0: Tensor) -> Tensor:
    steps = cycles_per_frame(f0, hift.m_source.harmonics)
    return hift.m_source.render(steps.cumsum(1), steps, torch.ones(len(f0)))


def _source(hift: Hift, f0: Tensor) -> Tensor:
    sines = _sines(hift, f0)
    return hift.m_source.merge(sines, f0, torch.randn_like(sines))


def _spectral(found: Tensor, due: Tensor) -> tuple[Tensor, Tensor]:
    """Mean difference of log magnitudes, and relative difference of magnitudes (arXiv:1910.11480)."""
    logs, relative = [], []
    for size, hop in _TRANSFORMS:
        one, other = _magnitude(found, size, hop), _magnitude(due, size, hop)
        logs.append((one.log() - other.log()).abs().mean())
        relative.append((one - other).norm() / other.norm())
    return torch.stack(logs).mean(), torch.stack(relative).mean()


def _magnitude(wave: Tensor, size: int, hop: int) -> Tensor:
    spectrum = torch.stft(wave, size, hop, window=_hann(size), return_complex=True)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return (power + _FLOOR**2).sqrt()


def _log_mel(wave: Tensor) -> Tensor:
    size, bands = _BANDS
    filters = slaney_filters(SAMPLE_RATE, size, bands, SAMPLE_RATE / 2)
    return (filters @ _magnitude(wave, size, size // 4)).clamp(min=_FLOOR).log()


@lru_cache
def _hann(size: int) -> Tensor:
    return torch.hann_window(size)


def speak(hift: Hift, mel: Tensor) -> Tensor:
    """mel [T, 80] -> wave [480 T] by the product's own steps."""
    [wave] = hift.step([hift.start(seed=0)], [mel.T], [True])
    return wave


def _figures(hift: Hift, corpus: Corpus) -> dict[str, Any]:
    """The mean difference of log mels, and of F0 in voiced frames in Hz, of held-out speech."""
    mels, pitches = [], []
    for recording in corpus.held_out[:_COMPARED]:
        mel, f0 = corpus.get(recording, "mel"), corpus.get(recording, "f0")
        wave = speak(hift, mel)
        mels.append(float((prompt_mel(wave[None])[0].T - mel).abs().mean()))
        apart = (hift.f0_predictor(mel.T[None])[0] - f0).abs()
        pitches.append(float(apart[f0 > 0].mean()) if bool((f0 > 0).any()) else 0.0)
    count = max(1, len(mels))
    return {"mel_difference": sum(mels) / count, "pitch_difference": sum(pitches) / count}
