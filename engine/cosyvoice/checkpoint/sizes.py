"""The sizes of a model as a checkpoint states them: in its configuration files, and by its weights' shapes.

Each number becomes a Claim: a name of ModelConfig, a value, and the place it came from. Claims of several
places are held against each other, so that an error names both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..config import (
    FRAMES_PER_TOKEN,
    MEL_HOP,
    SAMPLE_RATE,
    TOKEN_RATE,
    CosyVoice2Config,
    Value,
    like,
)
from ..lm.qwen2 import TEXT_EMBEDDING
from ..vocoder import DIRECTION
from .document import Document, Plain
from .errors import CheckpointError, printable
from .weights import Shape, Shapes


@dataclass(frozen=True, slots=True)
class Claim:
    """`place` says that the number `name` has this value."""

    name: str
    value: Value
    place: str


_CLASSES: Final = {"llm": "Qwen2LM", "flow": "CausalMaskedDiffWithXvec", "hift": "HiFTGenerator"}
"""The classes of the three parts; CosyVoice 1 and 3 have others."""

_ENTRIES: Final = {
    "llm.llm_input_size": "lm.hidden_size",
    "llm.llm_output_size": "lm.hidden_size",
    "llm.speech_token_size": "lm.speech_token_size",
    "llm.sampling.top_p": "sampling.top_p",
    "llm.sampling.top_k": "sampling.top_k",
    "llm.sampling.win_size": "sampling.win_size",
    "llm.sampling.tau_r": "sampling.tau_r",
    "flow.input_size": "flow.encoder.size",
    "flow.output_size": "flow.mel_size",
    "flow.spk_embed_dim": "flow.speaker_size",
    "flow.vocab_size": "flow.vocab_size",
    "flow.pre_lookahead_len": "flow.look_ahead",
    "flow.encoder.input_size": "flow.encoder.size",
    "flow.encoder.output_size": "flow.encoder.size",
    "flow.encoder.attention_heads": "flow.encoder.attention_heads",
    "flow.encoder.linear_units": "flow.encoder.linear_units",
    "flow.encoder.num_blocks": "flow.encoder.num_blocks",
    "flow.encoder.static_chunk_size": "flow.encoder.chunk_tokens",
    "flow.decoder.cfm_params.content.inference_cfg_rate": "flow.cfg_rate",
    "flow.decoder.cfm_params.inference_cfg_rate": "flow.cfg_rate",
    "flow.decoder.estimator.in_channels": "flow.estimator.in_channels",
    "flow.decoder.estimator.out_channels": "flow.estimator.out_channels",
    "flow.decoder.estimator.attention_head_dim": "flow.estimator.attention_head_dim",
    "flow.decoder.estimator.num_heads": "flow.estimator.num_heads",
    "flow.decoder.estimator.n_blocks": "flow.estimator.n_blocks",
    "flow.decoder.estimator.num_mid_blocks": "flow.estimator.num_mid_blocks",
    "flow.decoder.estimator.static_chunk_size": "flow.estimator.chunk_frames",
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

_CHUNKS: Final = frozenset(
    {"flow.encoder.static_chunk_size", "flow.decoder.estimator.static_chunk_size"}
)

_LISTS: Final = (
    ("llm.mix_ratio", ("lm.mix_text", "lm.mix_speech"), "not two numbers"),
    (
        "flow.decoder.estimator.channels",
        ("flow.estimator.channels",),
        "not a list of one width",
    ),
)
"""The path of a list, the names of its numbers, and the error where their count differs."""

_ONLY: Final[dict[str, Plain]] = {
    "sample_rate": SAMPLE_RATE,
    "token_frame_rate": TOKEN_RATE,
    "token_mel_ratio": FRAMES_PER_TOKEN,
    "flow.input_frame_rate": TOKEN_RATE,
    "flow.token_mel_ratio": FRAMES_PER_TOKEN,
    "flow.output_type": "mel",
    "flow.encoder.normalize_before": True,
    "flow.encoder.input_layer": "linear",
    "flow.encoder.pos_enc_layer_type": "rel_pos_espnet",
    "flow.encoder.selfattention_layer_type": "rel_selfattn",
    "flow.encoder.use_cnn_module": False,
    "flow.encoder.macaron_style": False,
    "flow.decoder.cfm_params.content.solver": "euler",
    "flow.decoder.cfm_params.content.t_scheduler": "cosine",
    "flow.decoder.estimator.act_fn": "gelu",
    "hift.sampling_rate": SAMPLE_RATE,
    "feat_extractor.n_fft": 4 * MEL_HOP,
    "feat_extractor.win_size": 4 * MEL_HOP,
    "feat_extractor.hop_size": MEL_HOP,
    "feat_extractor.num_mels": 80,
    "feat_extractor.sampling_rate": SAMPLE_RATE,
    "feat_extractor.fmin": 0,
    "feat_extractor.fmax": 8000,
    "feat_extractor.center": False,
}
"""The only values that are supported, where the file states them."""

_QWEN_SIZES: Final = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rope_theta",
    "rms_norm_eps",
    "max_position_embeddings",
)
_QWEN_NEEDED: Final = ("num_attention_heads", "num_key_value_heads")
"""Weights do not show how their rows are split into heads."""
_QWEN_ONLY: Final[dict[str, tuple[object, ...]]] = {
    "model_type": ("qwen2",),
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "tie_word_embeddings": (True,),
    "rope_scaling": (None,),
}


def claims_of_yaml(document: Document) -> list[Claim]:
    """Raises CheckpointError with every entry that is ill-formed or asks for what is not supported."""
    problems = [*_foreign_classes(document), *_unsupported(document)]
    claims: list[Claim] = []
    for path, name in _ENTRIES.items():
        try:
            value = document.read(path)
            if value is not None and not (path in _CHUNKS and value == 0):
                # zero chunks mean "set elsewhere" in files of the first release
                claims.append(_claim(name, value, f"{document.name} {path}"))
        except CheckpointError as error:
            problems += error.problems
    for path, names, otherwise in _LISTS:
        try:
            claims += _listed(document, path, names, otherwise)
        except CheckpointError as error:
            problems += error.problems
    if problems:
        raise CheckpointError(problems)
    return claims


def claims_of_qwen(raw: Mapping[str, Any], place: str) -> list[Claim]:
    """The claims of Qwen2's config.json. Raises CheckpointError with every entry that is wrong."""
    problems = [
        f"{place}: {name}: {printable(raw[name])} is not supported"
        for name, allowed in _QWEN_ONLY.items()
        if name in raw and raw[name] not in allowed
    ]
    rope = raw.get("rope_parameters")
    entries = {**(rope if isinstance(rope, dict) else {}), **raw}
    problems += [f"{place}: {name}: missing" for name in _QWEN_NEEDED if name not in entries]
    claims: list[Claim] = []
    for name in _QWEN_SIZES:
        if name in entries:
            try:
                claims.append(_claim(f"lm.{name}", entries[name], f"{place} {name}"))
            except CheckpointError as error:
                problems += error.problems
    if problems:
        raise CheckpointError(problems)
    return claims


def _claim(name: str, value: object, place: str) -> Claim:
    try:
        return Claim(name, like(_DEFAULTS[name], value, name), place)
    except ValueError as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise CheckpointError(f"{place}: {printable(reason)}") from error


_DEFAULTS: Final = CosyVoice2Config().flatten()


def _foreign_classes(document: Document) -> Iterator[str]:
    for part, known in _CLASSES.items():
        tag = document.tag(part)
        if tag is None:
            yield f"{document.name}: {part}: missing"
        elif tag and tag.rpartition(".")[2] != known:
            yield f"{document.name}: {part}: {printable(tag)}, where CosyVoice 2 has {known}"


def _unsupported(document: Document) -> Iterator[str]:
    for path, only in _ONLY.items():
        try:
            value = document.read(path)
        except CheckpointError as error:
            yield from error.problems
            continue
        if value is not None and value != only:
            yield f"{document.name}: {path}: {printable(value)}, where only {only} is supported"


def _listed(document: Document, path: str, names: Sequence[str], otherwise: str) -> list[Claim]:
    """A list's numbers, one for each name; none where the document has no such list.

    Raises CheckpointError, which says `otherwise`.
    """
    value = document.read(path)
    if value is None:
        return []
    place = f"{document.name} {path}"
    if not isinstance(value, list) or len(value) != len(names):
        raise CheckpointError(f"{place}: {otherwise}")
    return [_claim(name, each, place) for name, each in zip(names, value, strict=True)]


_Reader = Callable[[Shapes], int | tuple[int, ...] | None]


def claims_of_weights(shapes: Mapping[str, Shapes], places: Mapping[str, str]) -> list[Claim]:
    """The claims of the weights' shapes.

    A key that is missing or of another rank makes none: it is reported as such.

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
