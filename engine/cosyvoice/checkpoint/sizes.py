"""The numbers that a directory's own configuration files state, and what they must not state.

Each number becomes a Claim: a name of ModelConfig, a value, and the place it came from, so that claims of
several places can be held against each other and an error names both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..config import FRAMES_PER_TOKEN, MEL_HOP, SAMPLE_RATE, TOKEN_RATE, ModelConfig, Value, like
from .document import Document, Plain
from .errors import CheckpointError, printable


@dataclass(frozen=True, slots=True)
class Claim:
    """`place` says that the number `name` has this value."""

    name: str
    value: Value
    place: str


_CLASSES: Final = {"llm": "Qwen2LM", "flow": "CausalMaskedDiffWithXvec", "hift": "HiFTGenerator"}
"""Of the three parts; CosyVoice 1 and 3 have others."""

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
"""Where it is, what its numbers are, and what to say where it has not so many."""

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
"""What this implementation is made for, where the file states it."""

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
    """Of the language model's config.json. Raises CheckpointError with every entry that is wrong."""
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


_DEFAULTS: Final = ModelConfig().flatten()


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
