"""The vocoder's golden files: its parts, and the reference's chunk loop from tokens to PCM."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial

import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.flow import Case
from cosyserve.benchmarks.parity.reference.vocoder import Phase
from cosyserve.engine.cosyvoice.config import MEL_HOP
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.engine.cosyvoice.vocoder.layers import analyse

from .flow import check_steps, check_whole_tail
from .folder import GoldenModels
from .golden import GoldenFile, MissingArray
from .reference.vocoder import Call, MelFunction, calls_of, loop_named, mel_of, play
from .report import EXACT, Tolerance

PCM = Tolerance(5e-2, rms=2e-3)
_F0 = 2e-3
_SPECTRUM = 1e-5
_DECODED = 1e-4
_SOURCE = 2e-3
_KNOWN_F0 = 1e-3
_LONG = 2e-2
_PHASE = 5e-3
_PHASE_FRAMES = 40
"""The length of sound that _PHASE is stated for; errors of F0 add up in the phase of a longer one."""


def check_hift(file: GoldenFile, models: GoldenModels) -> None:
    """d_hift: Hift's parity entries, with the reference's phase."""
    hift = models.hift
    with torch.inference_mode():
        _check_f0(file, hift)
        _check_sources(file, hift)
        with file.check("decode_s_stft", _SPECTRUM) as check:
            check.tensors(analyse(file["decode_s"][:, 0], hift.config.n_fft, hift.config.hop))
        with file.check("decode_wav", _DECODED) as check:
            check.tensors(hift.decode(file["mel"], file["decode_s"]))

    @cache
    def spoken(cached: bool) -> tuple[Tensor, Tensor]:
        return reference_vocoder.inference(
            hift, file["mel"], file["cache_source"] if cached else None
        )

    for name, cached in (("inference", False), ("inference_cached", True)):
        for part, kind in enumerate(("wav", "source")):
            with file.check(f"{name}_{kind}", _phase_tolerance(file)) as check:
                check.tensors(spoken(cached)[part])


def _check_f0(file: GoldenFile, hift: Hift) -> None:
    predicted = cache(lambda: hift.f0_predictor(file["mel"]))
    with file.check("f0", _F0) as check:
        check.tensors(predicted())
    with file.check("uv", EXACT) as check:
        voiced = predicted() > hift.config.voiced_threshold
        check.tensors(voiced[..., None].float())


def _check_sources(file: GoldenFile, hift: Hift) -> None:
    for key, f0, tolerance in (
        ("sine_waves_zero_noise", "f0", _SOURCE),
        ("f0_known_sines", "f0_known", _KNOWN_F0),
    ):
        with file.check(key, tolerance) as check:
            sines = _voiced_sines(hift, file[f0])
            check.tensors(sines[:, :: max(1, sines.shape[1] // file[key].shape[1])])
    for key, f0, tolerance in (
        ("source_zero_noise", "f0", _SOURCE),
        ("f0_known_source", "f0_known", _KNOWN_F0),
    ):
        with file.check(key, tolerance) as check:
            check.tensors(reference_vocoder.source(hift, file[f0]))
    with file.check("source_with_noise", _SOURCE) as check:
        check.tensors(reference_vocoder.source(hift, file["noise_f0"], file["noise"]))
    ends = [match[0] for match in file.matching(r"f0_long_source_last_\d+_frames")]
    for key in ends or ["f0_long_source_last_N_frames"]:
        with file.check(key, _LONG) as check:
            check.tensors(
                reference_vocoder.source(hift, file["f0_long"])[:, :, -file[key].shape[2] :]
            )


def _voiced_sines(hift: Hift, f0: Tensor) -> Tensor:
    voiced = (f0 > hift.config.voiced_threshold).float().repeat_interleave(MEL_HOP, dim=1)
    return reference_vocoder.sines(hift.m_source, f0, Phase.REFERENCE) * voiced[..., None]


def _phase_tolerance(file: GoldenFile) -> Tolerance:
    """As stated up to the length it is stated for, then in proportion, and never more than PCM's."""
    frames = file["mel"].shape[2] if "mel" in file else 0
    return Tolerance(min(_PHASE * max(1.0, frames / _PHASE_FRAMES), PCM.largest or _PHASE))


def check_loop(file: GoldenFile, models: GoldenModels) -> None:
    """e_token2wav_loop: each case of meta, or with arrays CASE_pcm_N, as meta or else its name says."""
    _check_cases(file, models, dict)


def check_tail(file: GoldenFile, models: GoldenModels) -> None:
    """e2_tail: mels, and the loops that meta or CASE_pcm_N name."""
    check_whole_tail(file, models)
    _check_cases(file, models, list)


def _check_cases(file: GoldenFile, models: GoldenModels, kind: type) -> None:
    """PCM from our own mel; and where the loop streams, its mel in steps. kind: of meta's entry of a case."""
    try:
        case = Case.of(file)
    except MissingArray as error:
        file.leave(f"needs {error.args[0]}, which is not there")
        return
    described = [name for name, entry in file.meta.items() if isinstance(entry, kind)]
    named = [match[1] for match in file.matching(r"(.+)_pcm_\d+")]
    mel = mel_of(models.flow, case)
    for name in dict.fromkeys([*described, *named]):
        calls = _calls(file, models, name, case)
        _check_pcm(file, models.hift, name, mel, calls)
        if len(calls) > 1:
            golden = partial(_streamed_mel, file, models, case, mel)
            check_steps(file, models.flow, name, calls, golden)


def _check_pcm(
    file: GoldenFile, hift: Hift, name: str, mel: MelFunction, calls: Sequence[Call]
) -> None:
    waves: list[Tensor] = []
    for index in range(len(calls)):
        with file.check(f"{name}_pcm_{index}", PCM) as check:
            speed = float(name.partition("_speed")[2] or 1.0)
            waves = waves or play(hift, mel, calls, speed)
            check.tensors(waves[index])


def _calls(file: GoldenFile, models: GoldenModels, name: str, case: Case) -> list[Call]:
    """As meta has them, which is compared with what the name says; without meta, what the name says.

    Empty for a name that says nothing: its arrays are then taken by no check.
    """
    due = _by_name(models, name, case)
    described = file.meta.get(name)
    if not isinstance(described, dict):
        return due
    found: list[Call] = []
    with file.check(name, EXACT if due else Tolerance(None), "schedule") as check:
        found = [
            Call(chunk["n_tokens"], chunk["token_offset"], chunk["streaming"], chunk["finalize"])
            for chunk in described["chunks"]
        ]
        check.lists(due or found, found)
    return found


def _by_name(models: GoldenModels, name: str, case: Case) -> list[Call]:
    """The calls of a loop that we know; none of any other."""
    try:
        loop = loop_named(name)
    except ValueError:
        return []
    look_ahead = models.flow.config.look_ahead
    return calls_of(loop, case.token.shape[1], case.prompt_token.shape[1], look_ahead)


def _streamed_mel(file: GoldenFile, models: GoldenModels, case: Case, mel: MelFunction) -> Tensor:
    """The golden mel of these inputs with the chunk mask, where the folder has one; else our own."""
    if "mel_s1_final" in file:
        return file["mel_s1_final"]
    folder, name = models.folder, "b_flow_inference"
    if folder.has(name):
        arrays = folder.arrays(name)
        with suppress(KeyError):
            if _same(Case.of(arrays), case):
                return arrays["mel_stream_final"]
    return mel(case.token.shape[1], True, True)


def _same(one: Case, other: Case) -> bool:
    pairs = ((one.token, other.token), *zip(one.voice, other.voice, strict=True))
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)
