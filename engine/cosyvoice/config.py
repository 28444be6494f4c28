"""The sizes of a model of either family. Every number that a checkpoint may change is here; the defaults are
those of the published 0.5B models.

A number's full name is its path, as in `flow.encoder.num_blocks`: `flatten` and `from_flat` go between a
ModelConfig and a plain dictionary under such names.

Architectures: CosyVoice 2 (arXiv:2412.10117), CosyVoice 3 (arXiv:2505.17589).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Final, Self

SAMPLE_RATE: Final = 24000
Value = int | float | tuple[int, ...] | tuple[tuple[int, ...], ...]

MEL_HOP: Final = 480
"""Samples of sound per mel frame."""
TOKEN_RATE: Final = 25
"""Speech tokens per second of sound."""
FRAMES_PER_TOKEN: Final = 2


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """The ids that are neither speech nor text, counted from the end of the speech tokens.

    eos: the end of speech. fill: asks for more text. unused: has no meaning.
    sos, task: open the context and the speech in it; they are never drawn.
    rows: of the speech embedding and of the head beyond the speech tokens. apart: rows of an embedding of
    their own (`llm_embedding`), whose ids follow; 0 where the speech embedding holds sos and task.
    """

    eos: int
    unused: int
    fill: int
    sos: int
    task: int
    rows: int
    apart: int


@dataclass(frozen=True, slots=True)
class LmConfig:
    """Qwen2 decoder with a speech embedding and a speech head. text:speech is the mix of a bistream."""

    specials: ClassVar[SpecialIds] = SpecialIds(
        eos=0, unused=1, fill=2, sos=3, task=4, rows=3, apart=2
    )
    head_bias: ClassVar[bool] = True

    vocab_size: int = 151936
    hidden_size: int = 896
    intermediate_size: int = 4864
    num_hidden_layers: int = 24
    num_attention_heads: int = 14
    num_key_value_heads: int = 2
    rope_theta: float = 1000000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 32768
    speech_token_size: int = 6561
    mix_text: int = 5
    mix_speech: int = 15

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def head_size(self) -> int:
        return self.speech_token_size + self.specials.rows


@dataclass(frozen=True, slots=True)
class CosyVoice3LmConfig(LmConfig):
    """The same decoder, whose special ids are all rows of the speech embedding."""

    specials: ClassVar[SpecialIds] = SpecialIds(
        sos=0, eos=1, task=2, fill=3, unused=4, rows=200, apart=0
    )
    head_bias: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The conformer of the flow: blocks before and after the doubling of the rate."""

    size: int = 512
    attention_heads: int = 8
    linear_units: int = 2048
    num_blocks: int = 6
    num_up_blocks: int = 4
    chunk_tokens: int = 25


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """The U-Net of the flow. chunk_frames: the chunk mask's width in mel frames."""

    in_channels: int = 320
    out_channels: int = 80
    channels: int = 256
    attention_head_dim: int = 64
    num_heads: int = 8
    n_blocks: int = 4
    num_mid_blocks: int = 12
    chunk_frames: int = 50


@dataclass(frozen=True, slots=True)
class DitConfig:
    """The diffusion transformer of the flow. chunk_frames: the chunk mask's width in mel frames.

    head_dim: elements of one head; attention is heads x head_dim wide, which may differ from dim.
    ff_mult: the width of the feed-forward layers in multiples of dim.
    """

    dim: int = 1024
    depth: int = 22
    heads: int = 16
    head_dim: int = 64
    ff_mult: int = 2
    chunk_frames: int = 50


@dataclass(frozen=True, slots=True)
class FlowSizes(ABC):
    """What the flows of both families have: speech tokens to mel, in `steps` Euler steps.

    look_ahead: tokens beyond a step's last one that it needs.
    """

    mel_size: int = 80
    speaker_size: int = 192
    vocab_size: int = 6561
    look_ahead: int = 3
    steps: int = 10
    cfg_rate: float = 0.7

    @property
    @abstractmethod
    def chunk_tokens(self) -> int:
        """The chunk mask's width in tokens."""


@dataclass(frozen=True, slots=True)
class FlowConfig(FlowSizes):
    """Encoder, estimator, and Euler solver."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)

    @property
    def chunk_tokens(self) -> int:
        return self.encoder.chunk_tokens

    @property
    def input_size(self) -> int:
        return self.encoder.size


@dataclass(frozen=True, slots=True)
class DitFlowConfig(FlowSizes):
    """Look-ahead layer, DiT, and Euler solver. look_ahead_channels: the layer's inner width."""

    look_ahead_channels: int = 1024
    dit: DitConfig = field(default_factory=DitConfig)

    @property
    def chunk_tokens(self) -> int:
        return self.dit.chunk_frames // FRAMES_PER_TOKEN


@dataclass(frozen=True, slots=True)
class HiftConfig:
    """Mel to sound: F0 predictor, neural source filter, inverse STFT."""

    mel_size: int = 80
    base_channels: int = 512
    f0_channels: int = 512
    harmonics: int = 8
    sine_amplitude: float = 0.1
    noise_sigma: float = 0.003
    voiced_threshold: float = 10.0
    upsample_rates: tuple[int, ...] = (8, 5, 3)
    upsample_kernels: tuple[int, ...] = (16, 11, 7)
    n_fft: int = 16
    hop: int = 4
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    source_resblock_kernels: tuple[int, ...] = (7, 7, 11)
    source_resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    leaky_slope: float = 0.1
    audio_limit: float = 0.99


@dataclass(frozen=True, slots=True)
class CausalHiftConfig(HiftConfig):
    """The same parts in causal form. look_right: mel frames that the first convolution looks ahead."""

    look_right: int = 4


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """The repetition-aware sampling that the checkpoint recommends.

    top_p, top_k bound the nucleus; a token that makes up tau_r of the last win_size is drawn anew.
    """

    top_p: float = 0.8
    top_k: int = 25
    win_size: int = 10
    tau_r: float = 0.1


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a model, whatever its family; the class of them is the family's own."""

    lm: LmConfig
    flow: FlowSizes
    hift: HiftConfig
    sampling: SamplingConfig

    def flatten(self) -> dict[str, Value]:
        """Every number under its full name; tuples for the lists."""
        return dict(_walk(self, ""))

    @classmethod
    def defaults(cls) -> dict[str, Value]:
        """Every number of the published model under its full name."""
        return cls.from_flat({}).flatten()

    @classmethod
    def from_flat(cls, values: Mapping[str, object]) -> Self:
        """The defaults with these numbers in place of them. Lists and tuples are alike.

        Raises ValueError, which names the entry, for an unknown name or a value of another kind.
        """
        default = cls()  # type: ignore[call-arg]  # each family's class has all defaults
        unknown = sorted(set(values) - set(default.flatten()))
        if unknown:
            raise ValueError(f"{unknown[0]}: no such number in a model's configuration")
        built: Self = _rebuilt(default, values, "")
        return built


@dataclass(frozen=True, slots=True)
class CosyVoice2Config(ModelConfig):
    lm: LmConfig = field(default_factory=LmConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    hift: HiftConfig = field(default_factory=HiftConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


@dataclass(frozen=True, slots=True)
class CosyVoice3Config(ModelConfig):
    lm: CosyVoice3LmConfig = field(default_factory=CosyVoice3LmConfig)
    flow: DitFlowConfig = field(default_factory=DitFlowConfig)
    hift: CausalHiftConfig = field(default_factory=CausalHiftConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


def _walk(section: Any, prefix: str) -> Iterator[tuple[str, Value]]:
    for entry in fields(section):
        value = getattr(section, entry.name)
        if is_dataclass(value):
            yield from _walk(value, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, value


def _rebuilt(section: Any, values: Mapping[str, object], prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for entry in fields(section):
        default, name = getattr(section, entry.name), prefix + entry.name
        if is_dataclass(default):
            changes[entry.name] = _rebuilt(default, values, f"{name}.")
        elif name in values:
            changes[entry.name] = like(default, values[name], name)
    return replace(section, **changes)


def like(default: Value, value: object, name: str) -> Value:
    """The value in the kind of the default: an int, a finite float, or a tuple as deep as the default's.

    Raises ValueError, which names the entry.
    """
    if isinstance(default, tuple):
        if isinstance(value, (list, tuple)):
            # mypy cannot see that the recursion makes it as deep as the default
            return tuple(like(default[0], item, name) for item in value)  # type: ignore[return-value]
        raise ValueError(f"{name}: {value!r:.80} is not a list")
    if isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValueError(f"{name}: {value!r:.80} is not a whole number")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ValueError(f"{name}: {value!r:.80} is not a finite number")
