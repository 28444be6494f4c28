"""The numbers that the weights' own shapes show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from .sizes import Claim
from .keys import DIRECTION, TEXT_EMBEDDING, Shape, Shapes

_Reader = Callable[[Shapes], int | tuple[int, ...] | None]


def claims_of_weights(shapes: Mapping[str, Shapes], places: Mapping[str, str]) -> list[Claim]:
    """What can be read off. A key that is missing or of another rank makes no claim: it is reported as such.

    shapes, places: by part; the place is the file's name.
    """
    claims = []
    for part, readers in _READERS.items():
        for name, reader in readers.items():
            value = reader(shapes[part])
            if value is not None:
                claims.append(Claim(name, value, f"{places[part]}'s weights"))
    return claims


def _dimension(key: str, rank: int, index: int, offset: int = 0) -> _Reader:
    def read(shapes: Shapes) -> int | None:
        shape = shapes.get(key)
        return None if shape is None or len(shape) != rank else shape[index] + offset

    return read


def _count(prefix: str) -> _Reader:
    """How many `prefix.N.` there are; missing ones in between are reported as missing keys."""
    pattern = re.compile(re.escape(prefix) + r"\.([0-9]{1,6})\.")

    def read(shapes: Shapes) -> int:
        found = {match[1] for key in shapes if (match := pattern.match(key))}
        return max(map(int, found), default=-1) + 1

    return read


def _kernels(prefix: str, first: int | None = None) -> _Reader:
    """The kernel widths of `prefix.0`, `prefix.1`, ... in order; the first few where a stage repeats."""

    def read(shapes: Shapes) -> tuple[int, ...] | None:
        count = first if first is not None else len(shapes)
        widths = []
        for i in range(count):
            shape: Shape | None = shapes.get(prefix.format(i))
            if shape is None:
                break
            if len(shape) != 3:
                return None
            widths.append(shape[2])
        return tuple(widths) or None

    return read


_LAYER: Final = "llm.model.model.layers.0"
_BLOCK: Final = "encoder.encoders.0"
_ESTIMATOR: Final = "decoder.estimator"

_READERS: Final[dict[str, dict[str, _Reader]]] = {
    "llm": {
        "lm.vocab_size": _dimension(TEXT_EMBEDDING, 2, 0),
        "lm.hidden_size": _dimension(TEXT_EMBEDDING, 2, 1),
        "lm.intermediate_size": _dimension(f"{_LAYER}.mlp.gate_proj.weight", 2, 0),
        "lm.num_hidden_layers": _count("llm.model.model.layers"),
        "lm.speech_token_size": _dimension("llm_decoder.weight", 2, 0, -3),
    },
    "flow": {
        "flow.mel_size": _dimension("spk_embed_affine_layer.weight", 2, 0),
        "flow.speaker_size": _dimension("spk_embed_affine_layer.weight", 2, 1),
        "flow.vocab_size": _dimension("input_embedding.weight", 2, 0),
        "flow.look_ahead": _dimension("encoder.pre_lookahead_layer.conv1.weight", 3, 2, -1),
        "flow.encoder.size": _dimension("encoder.embed.out.0.weight", 2, 0),
        "flow.encoder.attention_heads": _dimension(f"{_BLOCK}.self_attn.pos_bias_u", 2, 0),
        "flow.encoder.linear_units": _dimension(f"{_BLOCK}.feed_forward.w_1.weight", 2, 0),
        "flow.encoder.num_blocks": _count("encoder.encoders"),
        "flow.encoder.num_up_blocks": _count("encoder.up_encoders"),
        "flow.estimator.in_channels": _dimension(f"{_ESTIMATOR}.time_mlp.linear_1.weight", 2, 1),
        "flow.estimator.out_channels": _dimension(f"{_ESTIMATOR}.final_proj.weight", 3, 0),
        "flow.estimator.channels": _dimension(f"{_ESTIMATOR}.final_proj.weight", 3, 1),
        "flow.estimator.n_blocks": _count(f"{_ESTIMATOR}.down_blocks.0.1"),
        "flow.estimator.num_mid_blocks": _count(f"{_ESTIMATOR}.mid_blocks"),
    },
    "hift": {
        "hift.mel_size": _dimension(f"conv_pre{DIRECTION}", 3, 1),
        "hift.base_channels": _dimension(f"conv_pre{DIRECTION}", 3, 0),
        "hift.f0_channels": _dimension("f0_predictor.classifier.weight", 2, 1),
        "hift.harmonics": _dimension("m_source.l_linear.weight", 2, 1, -1),
        "hift.upsample_kernels": _kernels("ups.{}" + DIRECTION),
        "hift.n_fft": _dimension(f"conv_post{DIRECTION}", 3, 0, -2),
        "hift.source_resblock_kernels": _kernels("source_resblocks.{}.convs1.0" + DIRECTION),
    },
}
