"""The causal HiFT of CosyVoice 3: mel to sound by a neural source filter and an inverse STFT.

Two convolutions look ahead: the one that reads the mel by `look_right` frames, F0's by three. All others
look back, so that each frame is computed once and whatever the steps, the sound is that of the whole.

The excitation is a staircase: F0's phase is held for the 480 samples of a frame.

The module holds weights only; what a session keeps is in its CausalVocoderState (causal_streaming.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import MEL_HOP, CausalHiftConfig
from .causal_layers import (
    CausalF0Predictor,
    CausalResBlock,
    CausalTails,
    CausalUp,
    LeftConv,
    OverlapAdd,
    SourceDown,
)
from .causal_streaming import CausalVocoderState, start_state, step_states
from .hift import LAST_SLOPE, LOUDEST, fold_when_loaded
from .source import HarmonicSource
from .streaming import StreamPolicy

_MEL_FRAMES: Final = 8
"""That an utterance keeps, or fewer."""


class CausalHift(nn.Module):
    """Loads CosyVoice 3's `hift.pt` keys strictly, in every form that Hift does."""

    def __init__(self, config: CausalHiftConfig) -> None:
        super().__init__()
        self.config = config
        self.m_source = HarmonicSource(config)
        self.f0_predictor = CausalF0Predictor(config.mel_size, config.f0_channels)
        self.conv_pre = nn.Conv1d(config.mel_size, config.base_channels, config.look_right + 1)
        self.ups = nn.ModuleList()
        self.source_downs = nn.ModuleList()
        self.source_resblocks = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for stage in range(len(config.upsample_rates)):
            self._add_stage(stage)
        narrowest = config.base_channels >> len(config.upsample_rates)
        self.conv_post = LeftConv(narrowest, config.n_fft + 2, 7)
        self.overlap_add = OverlapAdd(config.n_fft, config.hop)
        register: Callable[..., object] = self.register_load_state_dict_pre_hook
        register(_precise_f0)
        fold_when_loaded(self)
        self.requires_grad_(False)

    def _add_stage(self, stage: int) -> None:
        """Upsampling, the source brought to the same rate, and the blocks that mix both."""
        config = self.config
        wide, narrow = config.base_channels >> stage, config.base_channels >> (stage + 1)
        rate, kernel = config.upsample_rates[stage], config.upsample_kernels[stage]
        self.ups.append(CausalUp(wide, narrow, kernel, rate))
        down = math.prod(config.upsample_rates[stage + 1 :])
        self.source_downs.append(SourceDown(config.n_fft + 2, narrow, down))
        own = config.source_resblock_kernels[stage], config.source_resblock_dilations[stage]
        self.source_resblocks.append(CausalResBlock(narrow, *own))
        kinds = zip(config.resblock_kernels, config.resblock_dilations, strict=True)
        self.resblocks.extend(CausalResBlock(narrow, size, dilations) for size, dilations in kinds)

    @property
    def look_ahead(self) -> int:
        """Mel frames after a frame that its sound depends on. F0's reach is one frame more than its own."""
        return max(self.config.look_right, CausalF0Predictor.AHEAD + 1)

    @property
    def state_bytes(self) -> int:
        """What an utterance keeps, about: what the convolutions saw last."""
        state = self.start()
        return state.nbytes + _MEL_FRAMES * self.config.mel_size * torch.float32.itemsize

    @property
    def tail_elements(self) -> int:
        """Elements of the tails of all convolutions but F0's."""
        convolutions = (self.ups, self.source_downs, self.source_resblocks, self.resblocks)
        parts = [*convolutions, self.conv_post]
        return sum(_tail(layer) for part in parts for layer in part.modules())

    @property
    def f0_tail_elements(self) -> int:
        return sum(map(_tail, self.f0_predictor.modules()))

    def spectrum(self, mel: Tensor, source: Tensor, tails: CausalTails, *, first: bool) -> Tensor:
        """The next n frames: mel [B, mel, n + look_right] and the source's columns up to the last frame's
        end [B, n_fft + 2, 120 n] -> log magnitudes and raw phases of as many columns of the sound.

        first: the sound begins; there is one column more.
        """
        kinds = len(self.config.resblock_kernels)
        x: Tensor = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            down, mix = self.source_downs[stage], self.source_resblocks[stage]
            assert isinstance(up, CausalUp)
            assert isinstance(down, SourceDown)
            assert isinstance(mix, CausalResBlock)
            x = up.run(F.leaky_relu(x, self.config.leaky_slope), tails)
            if first and stage == len(self.ups) - 1:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + mix.run(down.run(source, tails, first), tails)
            made: list[Tensor] = []
            for block in self.resblocks[stage * kinds : (stage + 1) * kinds]:
                assert isinstance(block, CausalResBlock)
                made.append(block.run(x, tails))
            x = sum(made[1:], made[0]) / kinds
        return self.conv_post.run(F.leaky_relu(x, LAST_SLOPE), tails).float()

    def sound(
        self, spectrum: Tensor, before: Tensor, *, first: bool, final: bool
    ) -> tuple[Tensor, Tensor]:
        """What `spectrum` gave -> the next samples within the configured limit, and the next `before`.

        See OverlapAdd.run.
        """
        bins = self.config.n_fft // 2 + 1
        magnitude = spectrum[:, :bins].exp().clamp(max=LOUDEST)
        phase = spectrum[:, bins:].sin()
        wave, after = self.overlap_add.run(magnitude, phase, before, first=first, final=final)
        return wave.clamp(-self.config.audio_limit, self.config.audio_limit), after

    def excite(self, f0: Tensor, phase: Tensor, noise: Tensor | None) -> Tensor:
        """f0 [B, n] in Hz, phase [B, n, harmonics] in cycles, held within each frame -> [B, 480 n].

        noise [B, 480 n, harmonics]: uniform in [0, 1), or None for none.
        """
        cycles = (phase - phase.floor()).float()
        sines = cycles.mul_(2.0 * math.pi).sin_().mul_(self.config.sine_amplitude)
        return self.m_source.merge(sines.repeat_interleave(MEL_HOP, dim=1), f0, noise)[:, 0]

    def start(
        self, policy: StreamPolicy | None = None, seed: int | None = None
    ) -> CausalVocoderState:
        """The state of a new utterance. seed: of its noise; None leaves noise out. Of the policy only
        `fade_out` says anything here: the look-ahead is always the least that is exact."""
        return start_state(self, policy or StreamPolicy(), seed)

    @torch.inference_mode()
    def step(
        self,
        states: Sequence[CausalVocoderState],
        mels: Sequence[Tensor],
        final: Sequence[bool],
        speeds: Sequence[float] | None = None,
    ) -> list[Tensor]:
        """As Hift.step. Sessions with equally many new frames share a batch."""
        return step_states(self, states, mels, final, speeds or [1.0] * len(states))


def _precise_f0(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Let F0's weights be normalised in float64, as they are used: fp32 would move F0 by 3e-5 Hz."""
    for key in [key for key in state if key.startswith(f"{prefix}f0_predictor.")]:
        state[key] = state[key].double()


def _tail(layer: nn.Module) -> int:
    return layer.tail if isinstance(layer, LeftConv | SourceDown) else 0
