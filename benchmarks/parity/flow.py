"""The flow's golden files: encoder, estimator, whole mels, mels in steps, the start noise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference import flow as reference_flow
from cosyserve.benchmarks.parity.reference.flow import Case, speak
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.flow.solver import euler_schedule, time_span

from .folder import GoldenModels
from .golden import GoldenFile
from .reference.vocoder import Call
from .report import EXACT

MEL = 1e-4
_HIDDEN = 1e-4
_VELOCITY = 1e-4
_EMBEDDING = 1e-5
_TIME = 1e-6
_SPAN = 1e-7


def check_encoder(file: GoldenFile, models: GoldenModels) -> None:
    """a_encoder: Flow.encode. A cut NAME has meta.n_tokens_NAME tokens, the last ones look-ahead only."""
    flow = models.flow
    cuts = [key.removeprefix("n_tokens_") for key in file.meta if key.startswith("n_tokens_")]

    @cache
    def encoded(cut: str, streaming: bool) -> tuple[Tensor, Tensor]:
        tokens = file["token"][:, : file.meta.get(f"n_tokens_{cut}")]
        tokens = torch.cat((file["prompt_token"], tokens), dim=1)
        return reference_flow.encode(flow, tokens, streaming=streaming, finalize=cut == "final")

    for cut in ("final", *cuts):
        for streaming in (False, True):
            name = f"s{streaming:d}_{cut}"
            with file.check(f"h_{name}", _HIDDEN) as check:
                check.tensors(encoded(cut, streaming)[0])
            # The unaligned cut has no mu in the layout.
            if cut != "ctx_unaligned" or f"mu_{name}" in file:
                with file.check(f"mu_{name}", _HIDDEN) as check:
                    check.tensors(encoded(cut, streaming)[1])


def check_inference(file: GoldenFile, models: GoldenModels) -> None:
    """b_flow_inference: Flow.inference, Flow.speaker, and the same mels by Flow.step."""
    flow = models.flow
    with file.check("spks", _EMBEDDING) as check:
        check.tensors(flow.speaker(file["embedding"]))
    for key, streaming in (("mel_offline", False), ("mel_stream_final", True)):
        with file.check(key, MEL) as check:
            check.tensors(Case.of(file).whole(flow, streaming=streaming)[None])
    lengths = file.meta.get("prefix_lengths", [])
    given = [(match[1], int(match[2])) for match in file.matching(r"mel_(\w+)_prefix_(\d+)")]
    for kind, tokens in sorted({*given, *(("stream", length) for length in lengths)}):
        if kind in ("stream", "nonstream"):
            _check_prefix(file, flow, tokens, streaming=kind == "stream")
    with file.check("mel_stream_final", MEL, "in steps") as check:
        check.tensors(in_steps(flow, Case.of(file), lengths))


def _check_prefix(file: GoldenFile, flow: Flow, tokens: int, *, streaming: bool) -> None:
    key = f"mel_{'stream' if streaming else 'nonstream'}_prefix_{tokens}"
    with file.check(key, MEL) as check:
        case = Case.of(file)
        check.tensors(case.prefix(flow, tokens, streaming=streaming, finalize=False))
    if streaming:
        with file.check(key, MEL, "by an early step") as check:
            case = Case.of(file)
            state = flow.start(flow.prepare_prompt(*case.voice))
            (mel,) = flow.step([state], [case.token[0, :tokens]], [False], [True])
            check.tensors(mel[None])


def check_estimator(file: GoldenFile, models: GoldenModels) -> None:
    """c_estimator: Flow.decoder.estimator at the times t0, t1, ...; the solver's schedule."""
    estimator = models.flow.decoder.estimator
    with file.check("t_span", _SPAN) as check:
        check.tensors(time_span(file["t_span"].numel() - 1))
    for key, part in (("euler_t", 0), ("euler_dt", 1)):
        with file.check(key, _TIME) as check:
            check.tensors(euler_schedule(file[key].numel())[part])
    for match in file.matching(r"t\d+"):
        time = match[0]
        with file.check(f"time_emb_{time}", _EMBEDDING) as check:
            check.tensors(estimator.time_mlp(file[time]))
        for streaming in (False, True):
            with file.check(f"out_{time}_s{streaming:d}", _VELOCITY) as check:
                inputs = (file[key] for key in ("x", "mask", "mu", time, "spks", "cond"))
                check.tensors(reference_flow.velocity(estimator, *inputs, streaming=streaming))


def check_noise(file: GoldenFile, models: GoldenModels) -> None:
    """rand_noise: Flow.noise, of which the file holds the first columns; meta may say more of the whole."""
    noise = models.flow.noise
    with file.check("rand_noise", EXACT) as check:
        check.tensors(noise[:, :, : file["rand_noise"].shape[2]])
    if "full_shape" in file.meta:
        with file.check("meta.full_shape", EXACT) as check:
            check.lists(list(noise.shape), file.meta["full_shape"])
    if "sha16_full" in file.meta:
        with file.check("meta.sha16_full", EXACT) as check:
            digest = hashlib.sha256(noise.numpy().tobytes()).hexdigest()[:16]
            check.lists([digest], [file.meta["sha16_full"]])


def check_whole_tail(file: GoldenFile, models: GoldenModels) -> None:
    """e2_tail's mels: Flow.inference."""
    for streaming in (False, True):
        with file.check(f"mel_s{streaming:d}_final", MEL) as check:
            check.tensors(Case.of(file).whole(models.flow, streaming=streaming)[None])


def in_steps(flow: Flow, case: Case, known: Sequence[int]) -> Tensor:
    """The mel [1, mel, T] by Flow.step. known: how many tokens there are at each step but the last."""
    return _joined(_steps(flow, case, known))


def check_steps(
    file: GoldenFile,
    flow: Flow,
    name: str,
    calls: Sequence[Call],
    golden: Callable[[], Tensor],
) -> None:
    """Flow.step with the schedule of a chunk loop: its mel, and the frames it has given out by each chunk."""
    known = [call.tokens for call in calls[:-1]]
    made = cache(lambda: _steps(flow, Case.of(file), known))
    with file.check(name, MEL, "mel in steps") as check:
        check.tensors(_joined(made()), golden())
    described = file.meta.get(name)
    if not isinstance(described, dict):
        return
    with file.check(name, EXACT, "frames by step") as check:
        config, prompt = flow.config, Case.of(file).prompt_token.shape[1]
        chunk = config.encoder.chunk_tokens
        # Off the grid the reference gives out frames that it computes anew later.
        kept = [(prompt + call.tokens - config.look_ahead) % chunk == 0 for call in calls[:-1]]
        found = accumulate(mel.shape[1] for mel in made())
        frames = [chunk["mel_frames"] for chunk in described["chunks"]]
        pairs = zip(found, frames, [*kept, True], strict=True)
        chosen = [(ours, theirs) for ours, theirs, keep in pairs if keep]
        check.lists([ours for ours, _ in chosen], [theirs for _, theirs in chosen])


def _joined(mels: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(mels), dim=1)[None]


def _steps(flow: Flow, case: Case, known: Sequence[int]) -> list[Tensor]:
    tokens = case.token[0]
    hops = [after - before for before, after in pairwise([0, *known, tokens.shape[0]])]
    return speak(flow, flow.start(flow.prepare_prompt(*case.voice)), tokens, hops)
