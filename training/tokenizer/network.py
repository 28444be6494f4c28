"""The networks: a coder from log-mel to codes, which is kept, and a reader from codes to what they must tell.

A code is 6 numbers of 3 levels (finite scalar quantisation, arXiv:2309.15505).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..onnx_graph import FLOAT, INT32, OnnxGraph
from ..recipe import DIMENSIONS, LEVELS

_BANDS: Final = 128
_MEL: Final = 80
_KERNEL: Final = 7
_WIDER: Final = 3
"""Inner width of a block, in its own widths."""
_READER_BLOCKS: Final = 3
_MOMENTUM: Final = 0.02
_SMALLEST: Final = 1e-5


class CoderBlock(nn.Module):
    """A depthwise convolution over time, and a layer per frame (arXiv:2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, _WIDER * width)
        self.down = nn.Linear(_WIDER * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, N, width], mask [B, N, 1]: what is beyond a recording's end is nothing to the others."""
        mixed = self.mix((x * mask).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.down(F.gelu(self.up(self.norm(mixed))))
        return out

    def write(self, graph: OnnxGraph, x: str) -> str:
        mixed = graph.swap(graph.conv(graph.swap(x), self.mix))
        wide = graph.node("Gelu", [graph.linear(graph.layer_norm(mixed, self.norm), self.up)])
        return graph.node("Add", [x, graph.linear(wide, self.down)])


class Spread(nn.Module):
    """Brings each dimension to mean 0 and variance 1 over the corpus: else all frames begin in one code, and
    codes that are never used are never learned. In training by the batch's own statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, N, size], mask [B, N]."""
        mean, variance = self.mean, self.variance
        if self.training:
            real = x[mask]
            mean, variance = real.mean(0), real.var(0, correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean, _MOMENTUM)
                self.variance.lerp_(variance, _MOMENTUM)
        return (x - mean) * (variance + _SMALLEST).rsqrt()

    def write(self, graph: OnnxGraph, x: str) -> str:
        centred = graph.node("Sub", [x, graph.constant(self.mean.numpy(), np.float32)])
        gain = (self.variance + _SMALLEST).rsqrt().numpy()
        return graph.node("Mul", [centred, graph.constant(gain, np.float32)])


class Coder(nn.Module):
    """Log-mel at 100 frames a second to 25 points a second in the cube [-1, 1]^6."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(_BANDS, width, 3, stride=2, padding=1)
        self.second = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(CoderBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, DIMENSIONS)
        self.spread = Spread(DIMENSIONS)

    def forward(self, log_mel: Tensor, mask: Tensor) -> Tensor:
        """log_mel [B, 4N, 128], mask [B, N] -> [B, N, 6]."""
        fine = mask.repeat_interleave(4, dim=1)[..., None].float()
        half = F.gelu(self.first((log_mel * fine).transpose(1, 2)))
        half = half * fine[:, ::2].transpose(1, 2)
        x = F.gelu(self.second(half)).transpose(1, 2)
        coarse = mask[..., None].float()
        for block in self.blocks:
            x = block(x, coarse)
        point: Tensor = torch.tanh(self.spread(self.out(self.norm(x)), mask))
        return point

    def write(self, path: Path) -> None:
        """As `speech_tokenizer_v2.onnx`: float [1, 128, frames] and length [1] to codes [1, frames / 4]."""
        graph = OnnxGraph()
        axis, zero = graph.constant([2], np.int32), graph.constant([0], np.int32)
        sound = graph.node("Slice", ["feats", zero, "feats_length", axis])
        half = graph.node("Gelu", [graph.conv(sound, self.first)])
        x = graph.swap(graph.node("Gelu", [graph.conv(half, self.second)]))
        for block in self.blocks:
            assert isinstance(block, CoderBlock)
            x = block.write(graph, x)
        flat = graph.linear(graph.layer_norm(x, self.norm), self.out)
        point = graph.node("Tanh", [self.spread.write(graph, flat)])
        digits = graph.node("Add", [graph.node("Round", [point]), graph.constant(1.0, np.float32)])
        places = graph.constant(_places().numpy()[:, None], np.float32)
        number = graph.node("MatMul", [digits, places])
        row = graph.node("Squeeze", [number, graph.constant([2], np.int64)])
        graph.node("Cast", [row], "indices", to=INT32)
        graph.save(
            path,
            {"feats": (FLOAT, [1, _BANDS, "frames"]), "feats_length": (INT32, [1])},
            {"indices": (INT32, [1, "tokens"])},
        )


def quantised(point: Tensor) -> Tensor:
    """The nearest code's point; the gradient passes as if it were the point itself."""
    return point + (point.round() - point).detach()


def codes_of(point: Tensor) -> Tensor:
    """[..., 6] -> code numbers [...]."""
    return ((point.round() + 1) * _places()).sum(-1).long()


def points_of(codes: Tensor) -> Tensor:
    """Code numbers [...] -> [..., 6]."""
    digits = codes[..., None] // _places().long() % LEVELS
    return digits.float() - 1


def _places() -> Tensor:
    return torch.tensor([float(LEVELS**place) for place in range(DIMENSIONS)])


@dataclass(frozen=True, slots=True)
class Reading:
    """What codes tell: phonemes [B, N, phonemes + 1] (log probabilities, 0 the blank), mel [B, 2N, 80],
    prosody [B, 2N, 3] (log F0 against the recording's mean, logit of voiced, log energy against its mean).
    """

    phonemes: Tensor
    mel: Tensor
    prosody: Tensor


class Reader(nn.Module):
    """From codes to phonemes, prosody and, with a voice, to mel. Only its phonemes are used later."""

    def __init__(self, width: int, phonemes: int, voices: int) -> None:
        super().__init__()
        self.embed = nn.Linear(DIMENSIONS, width)
        self.blocks = nn.ModuleList(CoderBlock(width) for _ in range(_READER_BLOCKS))
        self.norm = nn.LayerNorm(width)
        self.phonemes = nn.Linear(width, phonemes + 1)
        self.prosody = nn.Linear(width, 2 * 3)
        self.voices = nn.Embedding(voices, width)
        self.mel_block = CoderBlock(width)
        self.mel = nn.Linear(width, 2 * _MEL)

    def forward(self, code: Tensor, mask: Tensor, voice: Tensor | None = None) -> Reading:
        """code [B, N, 6], mask [B, N], voice [B]; without a voice the mel is nobody's."""
        coarse = mask[..., None].float()
        x = self.embed(code)
        for block in self.blocks:
            x = block(x, coarse)
        known = self.norm(x)
        own = known if voice is None else known + self.voices(voice)[:, None]
        own = self.mel_block(own, coarse)
        return Reading(
            self.phonemes(known).log_softmax(-1),
            self.mel(own).unflatten(2, (2, _MEL)).flatten(1, 2),
            self.prosody(known).unflatten(2, (2, 3)).flatten(1, 2),
        )


class TokenizerNetwork(nn.Module):
    def __init__(self, width: int, blocks: int, phonemes: int, voices: int) -> None:
        super().__init__()
        self.coder = Coder(width, blocks)
        self.reader = Reader(width, phonemes, voices)
