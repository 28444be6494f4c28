"""The causal vocoder over a stream of mel: nothing is computed twice, and nothing is provisional.

A step computes the frames whose right neighbours are known. Of their samples the last three wait for the
next frame's. So after T frames (T - look_ahead) * 480 - 3 samples are out, and they are those of the whole.

F0 runs one frame ahead of the sound, as the transform of the source reaches into the next frame. F0 and the
phase that adds it up are in float64; noise is a function of the seed and the absolute frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import MEL_HOP
from .causal_layers import CausalF0Predictor, CausalTails, reflect_left, reflect_right
from .layers import columns
from .source import cycles_per_frame, uniform_frame_noise
from .streaming import StreamPolicy, TimeScale

if TYPE_CHECKING:
    from .causal import CausalHift


@dataclass(frozen=True, slots=True)
class Carried:
    """What the networks leave for an utterance's next step; all on its device, never changed in place.

    f0_tails, tails: see CausalTails. phase [harmonics]: cycles of the last frame that has an F0. source: the
    last samples of the excitation. overlap: see OverlapAdd.
    """

    f0_tails: Tensor
    tails: Tensor
    phase: Tensor
    source: Tensor
    overlap: Tensor

    @property
    def nbytes(self) -> int:
        kept = (self.f0_tails, self.tails, self.phase, self.source, self.overlap)
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)


@dataclass(slots=True)
class CausalVocoderState:
    """One utterance's place in the stream. Frames count from the utterance's start.

    mel: [mel, n] frames from `done` on. done: frames that were computed.
    """

    policy: StreamPolicy
    seed: int | None
    scale: TimeScale
    mel: Tensor
    carried: Carried
    done: int = 0
    finished: bool = False

    @property
    def nbytes(self) -> int:
        kept = (self.mel, self.scale.kept)
        return self.carried.nbytes + sum(t.numel() * t.element_size() for t in kept)

    def copy(self) -> CausalVocoderState:
        """An independent state at the same place; its tensors are shared, as steps replace them."""
        return replace(self)


def start_state(hift: CausalHift, policy: StreamPolicy, seed: int | None) -> CausalVocoderState:
    config = hift.config
    device = hift.conv_pre.weight.device
    empty = torch.zeros(config.mel_size, 0, device=device)
    carried = Carried(
        f0_tails=torch.zeros(hift.f0_tail_elements, dtype=torch.float64, device=device),
        tails=torch.zeros(hift.tail_elements, device=device),
        phase=torch.zeros(config.harmonics + 1, dtype=torch.float64, device=device),
        source=torch.zeros(0, device=device),
        overlap=torch.zeros(hift.overlap_add.kept, device=device),
    )
    return CausalVocoderState(policy, seed, TimeScale(empty), empty, carried)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a step; sessions that agree in it share a batch. frames: computed by it."""

    frames: int
    first: bool
    final: bool
    noisy: bool


@dataclass(slots=True)
class _Advance:
    """One session's part of a step: where its mel stands now."""

    state: CausalVocoderState
    scale: TimeScale
    mel: Tensor
    shape: _Shape


def step_states(
    hift: CausalHift,
    states: Sequence[CausalVocoderState],
    mels: Sequence[Tensor],
    final: Sequence[bool],
    speeds: Sequence[float],
) -> list[Tensor]:
    """See CausalHift.step."""
    if len({id(state) for state in states}) != len(states):
        raise ValueError("a state may be given once per step")
    advances = [_extend(hift, *each) for each in zip(states, mels, final, speeds, strict=True)]
    groups: dict[_Shape, list[int]] = {}
    for index, advance in enumerate(advances):
        if advance.shape.frames:
            groups.setdefault(advance.shape, []).append(index)
    made: dict[int, tuple[Tensor, Carried]] = {}
    for shape, members in groups.items():
        waves, carried = _compute(hift, [advances[index] for index in members], shape)
        for row, index in enumerate(members):
            # Copies: a view would keep the whole batch's memory.
            made[index] = waves[row].clone(), _row(carried, row)
    # Nothing has been changed up to here.
    return [_commit(advance, made.get(index)) for index, advance in enumerate(advances)]


def _extend(
    hift: CausalHift, state: CausalVocoderState, mel: Tensor, final: bool, speed: float
) -> _Advance:
    if state.finished:
        raise ValueError("the utterance has ended")
    size = hift.config.mel_size
    if mel.dim() != 2 or mel.shape[0] != size:
        raise ValueError(f"mel must be [{size}, frames], not {list(mel.shape)}")
    scale, frames = state.scale.feed(mel.to(state.mel), speed, final)
    whole = torch.cat([state.mel, frames], dim=1)
    ready = whole.shape[1] - (0 if final else hift.look_ahead)
    shape = _Shape(max(ready, 0), state.done == 0, final, state.seed is not None)
    return _Advance(state, scale, whole, shape)


def _compute(
    hift: CausalHift, advances: Sequence[_Advance], shape: _Shape
) -> tuple[Tensor, Carried]:
    """The samples [B, n] of a batch, and what it leaves, with the batch as first dimension."""
    mel = torch.stack([advance.mel for advance in advances])
    before = _stacked([advance.state.carried for advance in advances])
    if shape.final:
        mel = F.pad(mel, (0, hift.look_ahead))
    source, f0_tails, phase = _excite(hift, advances, shape, mel, before)
    tails = CausalTails(before.tails)
    spectra = _spectra(hift, source, shape)
    seen = mel[:, :, : shape.frames + hift.config.look_right]
    made = hift.spectrum(seen, spectra, tails, first=shape.first)
    wave, overlap = hift.sound(made, before.overlap, first=shape.first, final=shape.final)
    # The next column begins half a window before the frame that comes next, less a hop.
    kept = MEL_HOP + hift.config.n_fft // 2 - hift.config.hop
    return wave, Carried(f0_tails, tails.after(), phase, source[:, -kept:], overlap)


def _excite(
    hift: CausalHift,
    advances: Sequence[_Advance],
    shape: _Shape,
    mel: Tensor,
    before: Carried,
) -> tuple[Tensor, Tensor, Tensor]:
    """The source from what was kept of it on, F0's tails, and the phase that it ends with.

    It covers the frames of the step and, but for the final one, the frame after them.
    """
    begin = 0 if shape.first else 1
    count = shape.frames + (0 if shape.final else 1) - begin
    tails = CausalTails(before.f0_tails)
    seen = mel[:, :, begin : begin + count + CausalF0Predictor.AHEAD]
    f0 = hift.f0_predictor.run(seen, tails)
    harmonics = hift.config.harmonics + 1
    phase = before.phase[:, None] + cycles_per_frame(f0, harmonics).cumsum(1)
    noise = None
    if shape.noisy:
        seeds = [seed for a in advances if (seed := a.state.seed) is not None]
        frames = [advance.state.done + begin for advance in advances]
        noise = uniform_frame_noise(seeds, frames, count, MEL_HOP * harmonics, mel.device)
        noise = noise.view(len(seeds), count * MEL_HOP, harmonics)
    source = torch.cat([before.source, hift.excite(f0, phase, noise)], dim=1)
    last = phase[:, -1]
    return source, tails.after(), last - last.floor()


def _spectra(hift: CausalHift, source: Tensor, shape: _Shape) -> Tensor:
    """The source's columns that belong to the step."""
    size, hop = hift.config.n_fft, hift.config.hop
    if shape.first:
        source = reflect_left(source, size // 2)
    if shape.final:
        source = reflect_right(source, size // 2)
    count = shape.frames * MEL_HOP // hop + (1 if shape.first else 0)
    return columns(source[:, : (count - 1) * hop + size], size, hop)


def _commit(advance: _Advance, made: tuple[Tensor, Carried] | None) -> Tensor:
    """Write the step into the state; the sound that it gives out."""
    state = advance.state
    state.scale, state.finished = advance.scale, advance.shape.final
    state.mel = advance.mel[:, advance.shape.frames :].clone()
    state.done += advance.shape.frames
    if made is None:
        return state.carried.overlap[:0]
    wave, state.carried = made
    count = min(state.policy.fade_out, wave.shape[0]) if advance.shape.final else 0
    if count:
        # So that it does not end on a step.
        wave[-count:] *= 1.0 - (torch.arange(count, device=wave.device) + 1.0) / count
    return wave


def _stacked(parts: Sequence[Carried]) -> Carried:
    return Carried(
        torch.stack([part.f0_tails for part in parts]),
        torch.stack([part.tails for part in parts]),
        torch.stack([part.phase for part in parts]),
        torch.stack([part.source for part in parts]),
        torch.stack([part.overlap for part in parts]),
    )


def _row(carried: Carried, row: int) -> Carried:
    return Carried(
        carried.f0_tails[row].clone(),
        carried.tails[row].clone(),
        carried.phase[row].clone(),
        carried.source[row].clone(),
        carried.overlap[row].clone(),
    )
