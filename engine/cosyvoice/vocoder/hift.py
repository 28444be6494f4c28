"""HiFT: mel to sound by a neural source filter and an inverse STFT (arXiv:2309.09493).

Mel is [B, 80, T], sound 24 kHz, 480 samples per frame. The module holds weights only; what a session keeps
is in its VocoderState (streaming.py), which `start` makes and `step` moves on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import HiftConfig
from .layers import F0Predictor, ResBlock, analyse, fold_weight_norm, synthesise
from .reach import reach, source_down
from .source import HarmonicSource
from .streaming import StreamPolicy, VocoderState, start_state, step_states

_STATE_BYTES: Final = 1 << 16
LOUDEST: Final = 1e2
"""The largest magnitude of a bin."""
LAST_SLOPE: Final = 0.01
"""Of the leaky ReLU before the last convolution."""


class Hift(nn.Module):
    """Loads `hift.pt` keys strictly: plain weights and both spellings of weight normalisation alike. May be
    built on the meta device and filled with `load_state_dict(state, assign=True)`."""

    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.config = config
        self.m_source = HarmonicSource(config)
        self.f0_predictor = F0Predictor(config.mel_size, config.f0_channels)
        self.conv_pre = nn.Conv1d(config.mel_size, config.base_channels, 7, padding=3)
        self.ups = nn.ModuleList()
        self.source_downs = nn.ModuleList()
        self.source_resblocks = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for stage in range(len(config.upsample_rates)):
            self._add_stage(stage)
        narrowest = config.base_channels >> len(config.upsample_rates)
        self.conv_post = nn.Conv1d(narrowest, config.n_fft + 2, 7, padding=3)
        fold_when_loaded(self)
        self.requires_grad_(False)

    def _add_stage(self, stage: int) -> None:
        """Upsampling, the source brought to the same rate, and the blocks that mix both."""
        config = self.config
        wide, narrow = config.base_channels >> stage, config.base_channels >> (stage + 1)
        rate, kernel = config.upsample_rates[stage], config.upsample_kernels[stage]
        padding = (kernel - rate) // 2
        self.ups.append(nn.ConvTranspose1d(wide, narrow, kernel, rate, padding))
        down = source_down(math.prod(config.upsample_rates[stage + 1 :]))
        self.source_downs.append(nn.Conv1d(config.n_fft + 2, narrow, *down))
        own = config.source_resblock_kernels[stage], config.source_resblock_dilations[stage]
        self.source_resblocks.append(ResBlock(narrow, *own))
        kinds = zip(config.resblock_kernels, config.resblock_dilations, strict=True)
        self.resblocks.extend(ResBlock(narrow, size, dilations) for size, dilations in kinds)

    @property
    def look_ahead(self) -> int:
        """Mel frames after a frame that its sound depends on."""
        return reach(self.config).right

    @property
    def state_bytes(self) -> int:
        """What an utterance keeps, about: its last 60 mel frames."""
        return _STATE_BYTES

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """mel [B, 80, T] and source [B, 1, 480 T] -> wave [B, 480 T] within the configured limit.

        The convolutions follow autocast where it is on; the transforms are always fp32.
        """
        size, hop = self.config.n_fft, self.config.hop
        spectrum = analyse(source[:, 0], size, hop)
        kinds = len(self.config.resblock_kernels)
        x: Tensor = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, self.config.leaky_slope))
            if stage == len(self.ups) - 1:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[stage](self.source_downs[stage](spectrum))
            blocks = self.resblocks[stage * kinds : (stage + 1) * kinds]
            total = blocks[0](x)
            for block in blocks[1:]:
                total += block(x)
            x = total.div_(kinds)
        x = self.conv_post(F.leaky_relu(x, LAST_SLOPE)).float()
        bins = size // 2 + 1
        magnitude = x[:, :bins].exp().clamp(max=LOUDEST)
        wave = synthesise(magnitude, x[:, bins:].sin(), size, hop)
        return wave.clamp(-self.config.audio_limit, self.config.audio_limit)

    def start(self, policy: StreamPolicy | None = None, seed: int | None = None) -> VocoderState:
        """The state of a new utterance. seed: of its noise; None leaves noise out."""
        return start_state(self, policy or StreamPolicy(), seed)

    @torch.inference_mode()
    def step(
        self,
        states: Sequence[VocoderState],
        mels: Sequence[Tensor],
        final: Sequence[bool],
        speeds: Sequence[float] | None = None,
    ) -> list[Tensor]:
        """Advance several sessions: each one's new mel [80, n] (n may be 0) -> its new wave [m], fp32.

        A state may be given once per call. Sessions whose windows have equal length share a batch. `final`
        ends an utterance: the sound is complete and the state must not be used again. speeds: 0.5 ... 2,
        may change between steps. States are changed in place, all of them or, if this raises, none.

        Raises: ValueError for lengths that differ, a bad shape or speed, or a finished state.
        """
        return step_states(self, states, mels, final, speeds or [1.0] * len(states))


def fold_when_loaded(module: nn.Module) -> None:
    """Let the module take normalised weights too; see fold_weight_norm."""
    register: Callable[..., object] = module.register_load_state_dict_pre_hook
    register(_fold)


def _fold(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    folded = fold_weight_norm(state)
    state.clear()
    state.update(folded)
