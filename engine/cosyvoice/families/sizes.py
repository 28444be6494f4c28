"""How the files of a family's checkpoint state the sizes of its model, as tables.

`checkpoint/sizes.py` reads by them; a number's name is that of config.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..config import FRAMES_PER_TOKEN, MEL_HOP, SAMPLE_RATE, TOKEN_RATE
from ..lm.qwen2 import TEXT_EMBEDDING
from ..vocoder import DIRECTION

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
Reader = Callable[[Shapes], int | tuple[int, ...] | None]
"""A number by the shapes of a part's weights; None if the key is missing or of another rank."""


@dataclass(frozen=True, slots=True)
class SizeTable:
    """classes: of the three parts in the YAML file, by part.
    entries: names of numbers by paths of the YAML file. chunks: those of the paths where 0 states nothing.
    lists: the path of a list, the names of its numbers, and the error where their count differs.
    only: the only values that are supported, where the file states them.
    readers: by part and name. rules: of the flow; what must hold, and whether it does.
    """

    classes: Mapping[str, str]
    entries: Mapping[str, str]
    only: Mapping[str, int | float | bool | str | None]
    readers: Mapping[str, Mapping[str, Reader]]
    rules: Callable[[Any], Iterator[tuple[str, bool]]]
    chunks: frozenset[str] = frozenset()
    lists: tuple[tuple[str, tuple[str, ...], str], ...] = field(
        default=(("llm.mix_ratio", ("lm.mix_text", "lm.mix_speech"), "not two numbers"),)
    )


def dimension(key: str, rank: int, index: int, offset: int = 0) -> Reader:
    """One dimension of a tensor's shape, with `offset` added."""

    def read(shapes: Shapes) -> int | None:
        shape = shapes.get(key)
        return None if shape is None or len(shape) != rank else shape[index] + offset

    return read


def count(prefix: str) -> Reader:
    """How many `prefix.N.` there are; missing ones in between are reported as missing keys."""
    pattern = re.compile(re.escape(prefix) + r"\.([0-9]{1,6})\.")

    def read(shapes: Shapes) -> int:
        found = {match[1] for key in shapes if (match := pattern.match(key))}
        return max(map(int, found), default=-1) + 1

    return read


def kernels(prefix: str) -> Reader:
    """The kernel widths of `prefix.0`, `prefix.1`, ... in order."""

    def read(shapes: Shapes) -> tuple[int, ...] | None:
        widths = []
        for i in range(len(shapes)):
            shape = shapes.get(prefix.format(i))
            if shape is None:
                break
            if len(shape) != 3:
                return None
            widths.append(shape[2])
        return tuple(widths) or None

    return read


# What both families state alike

ENTRIES: Final = {
    "llm.llm_input_size": "lm.hidden_size",
    "llm.llm_output_size": "lm.hidden_size",
    "llm.speech_token_size": "lm.speech_token_size",
    "llm.sampling.top_p": "sampling.top_p",
    "llm.sampling.top_k": "sampling.top_k",
    "llm.sampling.win_size": "sampling.win_size",
    "llm.sampling.tau_r": "sampling.tau_r",
    "flow.output_size": "flow.mel_size",
    "flow.spk_embed_dim": "flow.speaker_size",
    "flow.vocab_size": "flow.vocab_size",
    "flow.pre_lookahead_len": "flow.look_ahead",
    "flow.decoder.cfm_params.content.inference_cfg_rate": "flow.cfg_rate",
    "flow.decoder.cfm_params.inference_cfg_rate": "flow.cfg_rate",
    "hift.in_channels": "hift.mel_size",
    "hift.base_channels": "hift.base_channels",
    "hift.nb_harmonics": "hift.harmonics",
    "hift.nsf_alpha": "hift.sine_amplitude",
    "hift.nsf_sigma": "hift.noise_sigma",
    "hift.nsf_voiced_threshold": "hift.voiced_threshold",
    "hift.upsample_rates": "hift.upsample_rates",
    "hift.upsample_kernel_sizes": "hift.upsample_kernels",
    "hift.istft_params.n_fft": "hift.n_fft",
    "hift.istft_params.hop_len": "hift.hop",
    "hift.resblock_kernel_sizes": "hift.resblock_kernels",
    "hift.resblock_dilation_sizes": "hift.resblock_dilations",
    "hift.source_resblock_kernel_sizes": "hift.source_resblock_kernels",
    "hift.source_resblock_dilation_sizes": "hift.source_resblock_dilations",
    "hift.lrelu_slope": "hift.leaky_slope",
    "hift.audio_limit": "hift.audio_limit",
    "hift.f0_predictor.in_channels": "hift.mel_size",
    "hift.f0_predictor.cond_channels": "hift.f0_channels",
}
ONLY: Final[Mapping[str, int | float | bool | str | None]] = {
    "sample_rate": SAMPLE_RATE,
    "token_frame_rate": TOKEN_RATE,
    "token_mel_ratio": FRAMES_PER_TOKEN,
    "flow.input_frame_rate": TOKEN_RATE,
    "flow.token_mel_ratio": FRAMES_PER_TOKEN,
    "flow.output_type": "mel",
    "flow.decoder.cfm_params.content.solver": "euler",
    "flow.decoder.cfm_params.content.t_scheduler": "cosine",
    "hift.sampling_rate": SAMPLE_RATE,
    "feat_extractor.n_fft": 4 * MEL_HOP,
    "feat_extractor.win_size": 4 * MEL_HOP,
    "feat_extractor.hop_size": MEL_HOP,
    "feat_extractor.num_mels": 80,
    "feat_extractor.sampling_rate": SAMPLE_RATE,
    "feat_extractor.fmin": 0,
    "feat_extractor.center": False,
}
_LAYER: Final = "llm.model.model.layers.0"
LM_READERS: Final = {
    "lm.vocab_size": dimension(TEXT_EMBEDDING, 2, 0),
    "lm.hidden_size": dimension(TEXT_EMBEDDING, 2, 1),
    "lm.intermediate_size": dimension(f"{_LAYER}.mlp.gate_proj.weight", 2, 0),
    "lm.num_hidden_layers": count("llm.model.model.layers"),
}
FLOW_READERS: Final = {
    "flow.mel_size": dimension("spk_embed_affine_layer.weight", 2, 0),
    "flow.speaker_size": dimension("spk_embed_affine_layer.weight", 2, 1),
    "flow.vocab_size": dimension("input_embedding.weight", 2, 0),
}
HIFT_READERS: Final = {
    "hift.mel_size": dimension(f"conv_pre{DIRECTION}", 3, 1),
    "hift.base_channels": dimension(f"conv_pre{DIRECTION}", 3, 0),
    "hift.f0_channels": dimension("f0_predictor.classifier.weight", 2, 1),
    "hift.harmonics": dimension("m_source.l_linear.weight", 2, 1, -1),
    "hift.upsample_kernels": kernels("ups.{}" + DIRECTION),
    "hift.n_fft": dimension(f"conv_post{DIRECTION}", 3, 0, -2),
    "hift.source_resblock_kernels": kernels("source_resblocks.{}.convs1.0" + DIRECTION),
}
