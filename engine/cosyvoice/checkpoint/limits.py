"""The sizes that a model may have: a wrong or hostile number ends here, before it costs memory or time."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from ..config import MEL_HOP, FlowSizes, HiftConfig, LmConfig, ModelConfig, Value
from ..families import family_of

_LARGEST: Final[dict[str, float]] = {
    "lm.vocab_size": 1 << 20,
    "lm.hidden_size": 1 << 14,
    "lm.intermediate_size": 1 << 16,
    "lm.num_hidden_layers": 256,
    "lm.num_attention_heads": 256,
    "lm.num_key_value_heads": 256,
    "lm.rope_theta": 1e12,
    "lm.rms_norm_eps": 0.1,
    "lm.max_position_embeddings": 1 << 24,
    "lm.speech_token_size": 1 << 20,
    "flow.vocab_size": 1 << 20,
    "flow.mel_size": 1 << 10,
    "flow.speaker_size": 1 << 14,
    "flow.look_ahead": 64,
    "flow.cfg_rate": 100.0,
    "flow.encoder.size": 1 << 14,
    "flow.encoder.linear_units": 1 << 16,
    "flow.estimator.channels": 1 << 14,
    "flow.estimator.in_channels": 1 << 12,
    "flow.estimator.out_channels": 1 << 10,
    # The product of these two is the number of modules to build.
    "flow.estimator.n_blocks": 64,
    "flow.estimator.num_mid_blocks": 64,
    "flow.look_ahead_channels": 1 << 14,
    "flow.dit.dim": 1 << 14,
    "flow.dit.depth": 256,
    "flow.dit.heads": 256,
    "flow.dit.ff_mult": 64,
    "hift.look_right": 64,
    "hift.base_channels": 1 << 14,
    "hift.f0_channels": 1 << 14,
    "hift.n_fft": 1 << 12,
    "hift.hop": 1 << 12,
    "hift.voiced_threshold": 1000.0,
    "hift.audio_limit": 1.0,
    "sampling.top_p": 1.0,
    "sampling.top_k": 1 << 20,
    "sampling.win_size": 1 << 16,
    "sampling.tau_r": 1.0,
}
_LARGEST_OF_THE_REST: Final = 1 << 10
_LONGEST_LIST: Final = 8
_MAY_BE_ZERO: Final = frozenset(
    {
        "flow.cfg_rate",
        "flow.encoder.num_up_blocks",
        "flow.estimator.num_mid_blocks",
        "hift.noise_sigma",
        "hift.sine_amplitude",
        "hift.voiced_threshold",
        "hift.leaky_slope",
        "sampling.tau_r",
    }
)


def size_problems(config: ModelConfig) -> list[str]:
    """Why these sizes are impossible, by the numbers' full names; empty if they are possible."""
    wrong = [line for name, value in config.flatten().items() for line in _out_of(name, value)]
    # the rules divide by the numbers, so they wait until each of them is in its range
    return wrong or [line for line, holds in _rules(config) if not holds]


def _out_of(name: str, value: Value) -> Iterator[str]:
    if isinstance(value, tuple):
        if not 0 < len(value) <= _LONGEST_LIST:
            yield f"{name}: {len(value)} items, where 1 to {_LONGEST_LIST} are possible"
            return
        for item in value:
            yield from _out_of(name, item)
        return
    largest = _LARGEST.get(name, _LARGEST_OF_THE_REST)
    fits = 0 < value <= largest or (value == 0 and name in _MAY_BE_ZERO)
    if not fits:
        yield f"{name}: {value:g} is not in the possible range, up to {largest:g}"


def _rules(config: ModelConfig) -> Iterator[tuple[str, bool]]:
    yield from _lm_rules(config.lm, config.flow)
    yield from family_of(config).sizes.rules(config)
    yield "hift.mel_size: not flow.mel_size", config.hift.mel_size == config.flow.mel_size
    yield from _hift_rules(config.hift)


def _lm_rules(lm: LmConfig, flow: FlowSizes) -> Iterator[tuple[str, bool]]:
    yield (
        "lm.hidden_size: not a multiple of twice lm.num_attention_heads",
        lm.hidden_size % (2 * lm.num_attention_heads) == 0,
    )
    yield (
        "lm.num_attention_heads: not a multiple of lm.num_key_value_heads",
        lm.num_attention_heads % lm.num_key_value_heads == 0,
    )
    yield (
        "flow.vocab_size: fewer speech tokens than lm.speech_token_size",
        flow.vocab_size >= lm.speech_token_size,
    )


def _hift_rules(hift: HiftConfig) -> Iterator[tuple[str, bool]]:
    stages = len(hift.upsample_rates)
    yield (
        "hift: the lists of the upsampling stages differ in length",
        len(hift.upsample_kernels)
        == len(hift.source_resblock_kernels)
        == len(hift.source_resblock_dilations)
        == stages,
    )
    yield (
        "hift: resblock_kernels and resblock_dilations differ in length",
        len(hift.resblock_kernels) == len(hift.resblock_dilations),
    )
    yield (
        f"hift.base_channels: not a multiple of {1 << stages}",
        hift.base_channels % (1 << stages) == 0,
    )
    yield (
        f"hift.upsample_rates x hift.hop: a mel frame is not {MEL_HOP} samples",
        prod(hift.upsample_rates) * hift.hop == MEL_HOP,
    )
    yield (
        "hift.n_fft: odd, or not above hift.hop",
        hift.n_fft % 2 == 0 and hift.n_fft > hift.hop,
    )
    yield (
        "hift: an upsampling kernel is narrower than its rate or not an even number wider",
        all(
            k >= r and (k - r) % 2 == 0
            for k, r in zip(hift.upsample_kernels, hift.upsample_rates, strict=False)
        ),
    )
    yield (
        "hift: a resblock's kernel is even",
        all(k % 2 == 1 for k in (*hift.resblock_kernels, *hift.source_resblock_kernels)),
    )
