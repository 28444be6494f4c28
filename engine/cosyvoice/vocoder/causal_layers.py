"""The parts of the causal HiFT. All layers but the two that look ahead see what is to their left only, so
each remembers its last inputs, and every frame is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Snake, hann, overlap, stay_float64, windows


@dataclass(slots=True)
class CausalTails:
    """What each causal convolution saw last, read and renewed in the order of the network.

    before [B, elements of all tails together]; zeros at the beginning of the sound.
    """

    before: Tensor
    _read: int = 0
    _after: list[Tensor] = field(default_factory=list)

    def extend(self, x: Tensor, length: int) -> Tensor:
        """x [B, C, n] -> [B, C, length + n] with the `length` frames that came before it."""
        if not length:
            return x
        batch, channels, _ = x.shape
        end = self._read + channels * length
        past = self.before[:, self._read : end].view(batch, channels, length)
        self._read = end
        extended = torch.cat([past, x], dim=2)
        self._after.append(extended[:, :, -length:].flatten(1))
        return extended

    def after(self) -> Tensor:
        """What the next step has `before` it."""
        return torch.cat(self._after, dim=1)


class LeftConv(nn.Conv1d):
    """Sees its own frame and those before it."""

    def __init__(self, channels: int, out_channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(channels, out_channels, kernel, dilation=dilation)

    @property
    def past(self) -> int:
        """Frames before its own that it sees."""
        return (self.kernel_size[0] - 1) * self.dilation[0]

    @property
    def tail(self) -> int:
        """Elements of its tail."""
        return self.in_channels * self.past

    def run(self, x: Tensor, tails: CausalTails) -> Tensor:
        made: Tensor = self(tails.extend(x, self.past))
        return made


class CausalUp(LeftConv):
    """Each frame `rate` times, then the convolution."""

    def __init__(self, channels: int, out_channels: int, kernel: int, rate: int) -> None:
        super().__init__(channels, out_channels, kernel)
        self.rate = rate

    def run(self, x: Tensor, tails: CausalTails) -> Tensor:
        return super().run(x.repeat_interleave(self.rate, dim=2), tails)


class SourceDown(nn.Conv1d):
    """The source's columns to one per `rate` of them: output j sees the columns up to (j + 1) * rate - 1
    of those counted from column 1 - rate, which is zero as all before column 0."""

    def __init__(self, channels: int, out_channels: int, rate: int) -> None:
        kernel = 1 if rate == 1 else 2 * rate
        super().__init__(channels, out_channels, kernel, stride=rate)

    @property
    def past(self) -> int:
        """Columns that two steps share."""
        return self.kernel_size[0] - self.stride[0]

    @property
    def tail(self) -> int:
        return self.in_channels * self.past

    def run(self, x: Tensor, tails: CausalTails, first: bool) -> Tensor:
        """first: x begins with column 0, else with the one after the last step's."""
        x = tails.extend(x, self.past)
        # The beginning has a column more than frames, and one zero less before it.
        made: Tensor = self(x[:, :, 1:] if first and self.past else x)
        return made


class CausalResBlock(nn.Module):
    """Residual pairs of convolutions, the first of each pair dilated."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(LeftConv(channels, channels, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(LeftConv(channels, channels, kernel) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def run(self, x: Tensor, tails: CausalTails) -> Tensor:
        pairs = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for activation1, conv1, activation2, conv2 in pairs:
            assert isinstance(conv1, LeftConv)
            assert isinstance(conv2, LeftConv)
            hidden = activation2(conv1.run(activation1(x), tails))
            x = x + conv2.run(hidden, tails)
        return x


class CausalF0Predictor(nn.Module):
    """Mel to fundamental frequency in Hz, one value per frame. In float64, as F0Predictor and for its reason.

    AHEAD: frames after its own that a value depends on.
    """

    AHEAD: Final = 3
    _LAYERS: Final = 5

    def __init__(self, mel_size: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(mel_size, channels, self.AHEAD + 1), nn.ELU()]
        for _ in range(self._LAYERS - 1):
            layers += [LeftConv(channels, channels, 3), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)
        stay_float64(self)

    def run(self, mel: Tensor, tails: CausalTails) -> Tensor:
        """The next n frames' values [B, n], of mel [B, mel, n + AHEAD]; all in float64."""
        x = mel.double()
        with torch.autocast(mel.device.type, enabled=False):
            for layer in self.condnet:
                x = layer.run(x, tails) if isinstance(layer, LeftConv) else layer(x)
            values: Tensor = self.classifier(x.transpose(1, 2))
        return values.squeeze(-1).abs()


class OverlapAdd:
    """The inverse transform of a stream of columns, `hop` samples apart and `size` long, centred.

    The window begins with a zero, so that of a column that has not come the first sample is settled.
    """

    def __init__(self, size: int, hop: int) -> None:
        self._size = size
        self._hop = hop
        self.kept = size - hop
        """Samples that later columns add to; the first of them is settled and given out."""

    def run(
        self, magnitude: Tensor, phase: Tensor, before: Tensor, *, first: bool, final: bool
    ) -> tuple[Tensor, Tensor]:
        """Columns [B, size / 2 + 1, n] twice, before [B, kept] -> the samples and the next `before`.

        The samples begin behind those of the last step; those of the final one end in the middle of the last
        column.
        """
        hop, count = self._hop, magnitude.shape[2]
        total = overlap(windows(magnitude, phase, self._size), hop)
        total[:, : self.kept] += before
        after = total[:, count * hop :].clone()
        begin = self._size // 2 if first else 1
        end = (count - 1) * hop + self._size // 2 if final else count * hop + 1
        made = total[:, begin:end] / self._weight(count, first, magnitude)[begin:end]
        return made, after

    def _weight(self, count: int, first: bool, like: Tensor) -> Tensor:
        """The sum of squared windows over each sample of the columns."""
        # Earlier columns than these do not reach a sample of this step.
        earlier = 0 if first else self._size // self._hop - 1
        window = hann(self._size, like.device).square()
        weights = overlap(window.expand(1, earlier + count, self._size), self._hop)
        return weights[0, earlier * self._hop :]


def reflect_left(wave: Tensor, count: int) -> Tensor:
    """[B, n] with `count` samples before it that mirror those after its first."""
    return F.pad(wave[:, None], (count, 0), mode="reflect")[:, 0]


def reflect_right(wave: Tensor, count: int) -> Tensor:
    """[B, n] with `count` samples behind it that mirror those before its last."""
    return F.pad(wave[:, None], (0, count), mode="reflect")[:, 0]
