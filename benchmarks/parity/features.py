"""The features' golden file: each clip has a wave at 24 kHz, one at 16 kHz, and what is made of them.

A file of CosyVoice 3 has the waves at 24 kHz alone: the rest is made as for CosyVoice 2.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.families import COSYVOICE2, family_of
from cosyserve.engine.cosyvoice.prompt import (
    kaldi_fbank,
    prompt_mel,
    resample,
    speaker_fbank,
    whisper_log_mel,
)

from .folder import GoldenModels
from .golden import GoldenFile, Known
from .report import Tolerance

_RESAMPLED = 1e-5
_MEL = 1e-4
_WHISPER = 1e-4
_FBANK = 1e-3
_FBANK_FLOOR = 1e-2
_CENTRED = 1e-2

_QUIET = 8.6
"""Nepers (75 dB) below a clip's loudest mel: there a float32 transform's own rounding shows."""
_QUIET_LIMIT = 1e-2
_LOG_FLOOR = float(torch.tensor(torch.finfo(torch.float32).eps).log())
_NEAR_FLOOR = 4.0
"""Above the filter bank's floor, in natural log of energy: there it shows, too."""
_HIGH = 24000
_LOW = 16000


def check_features(file: GoldenFile, models: GoldenModels) -> None:
    """g_frontend: resample, prompt_mel, whisper_log_mel, kaldi_fbank, speaker_fbank."""
    top, narrow = _mel_top(models), bool(file.matching(r".+_wav16k"))
    clips = [match[1] for match in file.matching(r"(.+)_(?:wav24k|wav16k)")]
    for clip in dict.fromkeys(clips):
        if narrow:
            _check_waves(file, clip)
        with file.check(f"{clip}_mel24k", _MEL) as check:
            golden = file[f"{clip}_mel24k"]
            quiet = golden < golden.max() - _QUIET
            reason = (
                "more than 75 dB under the loudest, where the reference's float32 transform is up to "
                "8.4e-3 off the same mel in float64"
            )
            found = prompt_mel(file[f"{clip}_wav24k"], top)
            check.tensors(found, known=Known(quiet, _QUIET_LIMIT, reason))
        if narrow:
            with file.check(f"{clip}_whisper128", _WHISPER) as check:
                check.tensors(whisper_log_mel(file[f"{clip}_wav16k"]))
            _check_fbank(file, clip)


def _mel_top(models: GoldenModels) -> float:
    """Hz of the mel's highest filter; CosyVoice 2's where the folder does not tell the family."""
    if not models.folder.has_config:
        return COSYVOICE2.prompt_mel_top
    return family_of(models.folder.config()).prompt_mel_top


def _check_waves(file: GoldenFile, clip: str) -> None:
    """A resampler's golden, where one wave was made of the other."""
    with file.check(f"{clip}_wav16k", _RESAMPLED, "resampled") as check:
        high, low = file[f"{clip}_wav24k"], file[f"{clip}_wav16k"]
        found, golden = resample(high, _HIGH, _LOW), low
        back = resample(low, _LOW, _HIGH)
        if _distance(back, high) < _distance(found, low):
            found, golden = back, high
        check.tensors(found, golden, known=_of_one_formula(high, low))


def _of_one_formula(high: Tensor, low: Tensor) -> Known | None:
    """Equal at the instants that they share: a resampler's filter leaves no sample as it was."""
    shared = Fraction(_HIGH, _LOW)
    ours, theirs = high[:, :: shared.numerator], low[:, :: shared.denominator]
    if not _distance(ours, theirs) < _RESAMPLED:
        return None
    everywhere = torch.ones((), dtype=torch.bool)
    reason = "of two clips that are samples of one formula, not resampled from each other"
    return Known(everywhere, float("inf"), reason)


def _distance(found: Tensor, golden: Tensor) -> float:
    if found.shape != golden.shape:
        return float("inf")
    return float((found - golden).abs().max()) if found.numel() else 0.0


def _check_fbank(file: GoldenFile, clip: str) -> None:
    raw = f"{clip}_fbank80_raw"
    made = cache(lambda: kaldi_fbank(file[f"{clip}_wav16k"]))
    with file.check(raw, _FBANK) as check:
        golden = file[raw]
        near = golden < _LOG_FLOOR + _NEAR_FLOOR
        reason = "within 4 of the log floor, where float32 transforms differ from each other"
        above = golden > _LOG_FLOOR
        check.tensors(made(), where=above, known=Known(near, _FBANK_FLOOR, reason))
    with file.check(raw, _FBANK_FLOOR, "at the log floor too") as check:
        check.tensors(made())
    with file.check(f"{clip}_fbank80_cmn", _CENTRED) as check:
        check.tensors(speaker_fbank(file[f"{clip}_wav16k"]))
    if f"{clip}_fbank80_knf_raw" in file:
        with file.check(f"{clip}_fbank80_knf_raw", Tolerance(None)) as check:
            check.tensors(made())
