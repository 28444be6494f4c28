"""How far the vocoder looks to both sides, worked out from its kernels and strides."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import MEL_HOP, HiftConfig
from .layers import F0Predictor


@dataclass(frozen=True, slots=True)
class Reach:
    """In mel frames. left: what decoding needs before a frame; right: what it needs after it, through mel,
    source and F0 together. With these much context a window's sound is that of the whole."""

    left: int
    right: int


@dataclass(slots=True)
class _Span:
    """First and last index that some outputs depend on."""

    low: int
    high: int

    def wider(self, by: int) -> _Span:
        return _Span(self.low - by, self.high + by)

    def through_conv(self, kernel: int, stride: int, padding: int) -> _Span:
        return _Span(self.low * stride - padding, self.high * stride - padding + kernel - 1)

    def through_transposed(self, kernel: int, stride: int, padding: int) -> _Span:
        low = -((kernel - 1 - padding - self.low) // stride)
        return _Span(low, (self.high + padding) // stride)


def reach(config: HiftConfig) -> Reach:
    """Follow one far frame's samples back through the network, as index intervals."""
    frame = 1000
    # Of the inverse transform: which spectral frames overlap the samples.
    span = _Span(frame * MEL_HOP, frame * MEL_HOP + MEL_HOP - 1)
    span = span.through_transposed(config.n_fft, config.hop, config.n_fft // 2).wider(3)
    block = max(map(_block_reach, config.resblock_kernels, config.resblock_dilations))
    source: list[_Span] = []
    down = 1
    for stage in reversed(range(len(config.upsample_rates))):
        span = span.wider(block)
        source.append(_source_span(config, span, stage, down))
        if down == 1:
            span = _Span(span.low - 1, span.high - 1)  # the padding by one frame on the left
        rate, kernel = config.upsample_rates[stage], config.upsample_kernels[stage]
        span = span.through_transposed(kernel, rate, (kernel - rate) // 2)
        down *= rate
    span = span.wider(3)
    first_sample = min(part.low for part in source)
    last_sample = max(part.high for part in source)
    # A sample after its frame's centre lies between this frame's phase and the next one's.
    last_f0 = (last_sample + MEL_HOP // 2) // MEL_HOP
    return Reach(
        left=frame - min(span.low, first_sample // MEL_HOP),
        right=max(span.high, last_f0 + F0Predictor.LAYERS) - frame,
    )


def _source_span(config: HiftConfig, span: _Span, stage: int, down: int) -> _Span:
    kernel = config.source_resblock_kernels[stage]
    part = span.wider(_block_reach(kernel, config.source_resblock_dilations[stage]))
    part = part.through_conv(*source_down(down))
    return part.through_conv(config.n_fft, config.hop, config.n_fft // 2)


def source_down(rate: int) -> tuple[int, int, int]:
    """Kernel, stride and padding of the convolution that brings the source down by `rate`."""
    return (1, 1, 0) if rate == 1 else (2 * rate, rate, rate // 2)


def _block_reach(kernel: int, dilations: tuple[int, ...]) -> int:
    return (kernel - 1) // 2 * sum(dilation + 1 for dilation in dilations)
