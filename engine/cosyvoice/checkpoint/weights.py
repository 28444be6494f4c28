"""A part's weights as a mapping of the official keys to tensors that lie in the file.

Nothing is unpickled but tensors, and nothing is read into memory: the file is mapped. It must not be cut
short while a model made of it runs.

Names and shapes of every weight in the official llm.pt, flow.pt and hift.pt, from the model's sizes.

This is the file format: what a checkpoint is held against before any module is built.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, TypeGuard

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..config import EncoderConfig, EstimatorConfig, FlowConfig, HiftConfig, LmConfig, ModelConfig
from .errors import CheckpointError, listing, printable

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

PARTS: Final = ("llm", "flow", "hift")

TIED_HEAD: Final = "llm.model.lm_head.weight"
"""Qwen2's text head: the same matrix as the text embedding and never used for speech, so it may be absent."""
TEXT_EMBEDDING: Final = "llm.model.model.embed_tokens.weight"
GAIN: Final = ".parametrizations.weight.original0"
DIRECTION: Final = ".parametrizations.weight.original1"

_Entries = Iterator[tuple[str, Shape]]


def expected(config: ModelConfig, part: str) -> Shapes:
    """Every key of a part with its shape."""
    if part == "llm":
        return dict(_llm(config.lm))
    if part == "flow":
        return dict(_flow(config.flow))
    return dict(_hift(config.hift))


def _linear(name: str, out: int, into: int, bias: bool = True) -> _Entries:
    yield f"{name}.weight", (out, into)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, size: int) -> _Entries:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _conv(name: str, out: int, into: int, kernel: int) -> _Entries:
    yield f"{name}.weight", (out, into, kernel)
    yield f"{name}.bias", (out,)


def _normed_conv(name: str, shape: Shape, out: int) -> _Entries:
    """Weight norm has one gain per row of the first dimension: a transposed convolution's inputs."""
    yield f"{name}.bias", (out,)
    yield name + GAIN, (shape[0], 1, 1)
    yield name + DIRECTION, shape


def _llm(c: LmConfig) -> _Entries:
    yield "llm_embedding.weight", (2, c.hidden_size)
    yield TEXT_EMBEDDING, (c.vocab_size, c.hidden_size)
    key_size = c.num_key_value_heads * c.head_dim
    for i in range(c.num_hidden_layers):
        layer = f"llm.model.model.layers.{i}"
        yield from _linear(f"{layer}.self_attn.q_proj", c.hidden_size, c.hidden_size)
        yield from _linear(f"{layer}.self_attn.k_proj", key_size, c.hidden_size)
        yield from _linear(f"{layer}.self_attn.v_proj", key_size, c.hidden_size)
        yield from _linear(f"{layer}.self_attn.o_proj", c.hidden_size, c.hidden_size, bias=False)
        yield f"{layer}.mlp.gate_proj.weight", (c.intermediate_size, c.hidden_size)
        yield f"{layer}.mlp.up_proj.weight", (c.intermediate_size, c.hidden_size)
        yield f"{layer}.mlp.down_proj.weight", (c.hidden_size, c.intermediate_size)
        yield f"{layer}.input_layernorm.weight", (c.hidden_size,)
        yield f"{layer}.post_attention_layernorm.weight", (c.hidden_size,)
    yield "llm.model.model.norm.weight", (c.hidden_size,)
    yield TIED_HEAD, (c.vocab_size, c.hidden_size)
    yield from _linear("llm_decoder", c.head_size, c.hidden_size)
    yield "speech_embedding.weight", (c.head_size, c.hidden_size)


def _flow(c: FlowConfig) -> _Entries:
    yield "input_embedding.weight", (c.vocab_size, c.input_size)
    yield from _linear("spk_embed_affine_layer", c.mel_size, c.speaker_size)
    yield from _encoder(c.encoder, c.look_ahead)
    yield from _linear("encoder_proj", c.mel_size, c.encoder.size)
    yield from _estimator(c.estimator, "decoder.estimator")


def _encoder(c: EncoderConfig, look_ahead: int) -> _Entries:
    for embed in ("encoder.embed", "encoder.up_embed"):
        yield from _linear(f"{embed}.out.0", c.size, c.size)
        yield from _norm(f"{embed}.out.1", c.size)
    yield from _norm("encoder.after_norm", c.size)
    yield from _conv("encoder.pre_lookahead_layer.conv1", c.size, c.size, look_ahead + 1)
    yield from _conv("encoder.pre_lookahead_layer.conv2", c.size, c.size, 3)
    yield from _conv("encoder.up_layer.conv", c.size, c.size, 5)
    for kind, count in (("encoders", c.num_blocks), ("up_encoders", c.num_up_blocks)):
        for i in range(count):
            yield from _conformer_block(f"encoder.{kind}.{i}", c)


def _conformer_block(name: str, c: EncoderConfig) -> _Entries:
    heads = (c.attention_heads, c.size // c.attention_heads)
    yield f"{name}.self_attn.pos_bias_u", heads
    yield f"{name}.self_attn.pos_bias_v", heads
    for projection in ("linear_q", "linear_k", "linear_v", "linear_out"):
        yield from _linear(f"{name}.self_attn.{projection}", c.size, c.size)
    yield f"{name}.self_attn.linear_pos.weight", (c.size, c.size)
    yield from _linear(f"{name}.feed_forward.w_1", c.linear_units, c.size)
    yield from _linear(f"{name}.feed_forward.w_2", c.size, c.linear_units)
    yield from _norm(f"{name}.norm_ff", c.size)
    yield from _norm(f"{name}.norm_mha", c.size)


def _estimator(c: EstimatorConfig, name: str) -> _Entries:
    width, time = c.channels, 4 * c.channels
    yield from _linear(f"{name}.time_mlp.linear_1", time, c.in_channels)
    yield from _linear(f"{name}.time_mlp.linear_2", time, time)
    stages = [(f"{name}.down_blocks.0", c.in_channels)]
    stages += [(f"{name}.mid_blocks.{i}", width) for i in range(c.num_mid_blocks)]
    # the up block takes the down block's output along, side by side
    stages += [(f"{name}.up_blocks.0", 2 * width)]
    for stage, into in stages:
        yield from _resnet(f"{stage}.0", into, width, time)
        for i in range(c.n_blocks):
            yield from _transformer(f"{stage}.1.{i}", c)
    yield from _conv(f"{name}.down_blocks.0.2", width, width, 3)
    yield from _conv(f"{name}.up_blocks.0.2", width, width, 3)
    yield from _conv(f"{name}.final_block.block.0", width, width, 3)
    yield from _norm(f"{name}.final_block.block.2", width)
    yield from _conv(f"{name}.final_proj", c.out_channels, width, 1)


def _resnet(name: str, into: int, width: int, time: int) -> _Entries:
    yield from _linear(f"{name}.mlp.1", width, time)
    for block, channels in (("block1", into), ("block2", width)):
        yield from _conv(f"{name}.{block}.block.0", width, channels, 3)
        yield from _norm(f"{name}.{block}.block.2", width)
    yield from _conv(f"{name}.res_conv", width, into, 1)


def _transformer(name: str, c: EstimatorConfig) -> _Entries:
    inner = c.num_heads * c.attention_head_dim
    yield from _norm(f"{name}.norm1", c.channels)
    for projection in ("to_q", "to_k", "to_v"):
        yield f"{name}.attn1.{projection}.weight", (inner, c.channels)
    yield from _linear(f"{name}.attn1.to_out.0", c.channels, inner)
    yield from _norm(f"{name}.norm3", c.channels)
    yield from _linear(f"{name}.ff.net.0.proj", 4 * c.channels, c.channels)
    yield from _linear(f"{name}.ff.net.2", c.channels, 4 * c.channels)


def _hift(c: HiftConfig) -> _Entries:
    yield from _linear("m_source.l_linear", 1, c.harmonics + 1)
    yield from _normed_conv("conv_pre", (c.base_channels, c.mel_size, 7), c.base_channels)
    bins = c.n_fft + 2
    kinds = len(c.resblock_kernels)
    for i, kernel in enumerate(c.upsample_kernels):
        into, width = c.base_channels >> i, c.base_channels >> (i + 1)
        yield from _normed_conv(f"ups.{i}", (into, width, kernel), width)
        stride = prod(c.upsample_rates[i + 1 :])
        yield from _conv(f"source_downs.{i}", width, bins, 1 if stride == 1 else 2 * stride)
        source = (c.source_resblock_kernels[i], len(c.source_resblock_dilations[i]))
        yield from _resblock(f"source_resblocks.{i}", width, *source)
        for j, (size, dilations) in enumerate(
            zip(c.resblock_kernels, c.resblock_dilations, strict=True)
        ):
            yield from _resblock(f"resblocks.{i * kinds + j}", width, size, len(dilations))
    last = c.base_channels >> len(c.upsample_kernels)
    yield from _normed_conv("conv_post", (bins, last, 7), bins)
    for i in range(5):
        into = c.mel_size if i == 0 else c.f0_channels
        shape = (c.f0_channels, into, 3)
        yield from _normed_conv(f"f0_predictor.condnet.{2 * i}", shape, c.f0_channels)
    yield from _linear("f0_predictor.classifier", 1, c.f0_channels)


def _resblock(name: str, width: int, kernel: int, depth: int) -> _Entries:
    for i in range(depth):
        for row in ("convs1", "convs2"):
            yield from _normed_conv(f"{name}.{row}.{i}", (width, width, kernel), width)
        for row in ("activations1", "activations2"):
            yield f"{name}.{row}.{i}.alpha", (width,)


_LARGEST_PICKLE: Final = 32 << 20
"""Bytes of an archive's index of tensors; flow.pt's has about 200 KB."""
_DTYPES: Final = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_TRAINING: Final = ("epoch", "step")
_DISCRIMINATOR: Final = "discriminator."
_GENERATOR: Final = "generator."
_OLD_WEIGHT_NORM: Final = {".weight_g": GAIN, ".weight_v": DIRECTION}


def read_weights(path: Path, part: str) -> dict[str, Tensor]:
    """The tensors of a .pt or .safetensors file under the official keys, whatever the file's spelling.

    Raises CheckpointError, which names the file and what is wrong with it.
    """
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = official(raw, part, path.name)
    size = path.stat().st_size
    # tied weights count twice; beyond that, a few bytes pose as tensors of any size
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > 2 * size:
        raise CheckpointError(f"{path.name}: tensors larger than the file")
    return state


def official(raw: Mapping[Any, object], part: str, place: str) -> dict[str, Tensor]:
    """Without what training left behind, and with hift's keys in their newest spelling.

    Raises CheckpointError for values that are no plain tensors of floating point numbers.
    """
    state: dict[str, Tensor] = {}
    problems: list[str] = []
    for given, value in raw.items():
        if not isinstance(given, str):
            raise CheckpointError(f"{place}: a key that is no string: {printable(given)}")
        if given in _TRAINING or given.startswith(_DISCRIMINATOR):
            continue
        key = _spelled(given) if part == "hift" else given
        if not _is_plain(value):
            problems.append(f"{place}: {printable(given)}: not a tensor of floating point numbers")
        elif key in state:
            problems.append(f"{place}: {printable(given)}: there twice, under two spellings")
        else:
            state[key] = value.detach()
    if problems:
        raise CheckpointError(problems if len(problems) < 5 else listing(problems, 4))
    return state


def key_problems(found: Mapping[str, Tensor], due: Shapes, place: str) -> list[str]:
    """What is missing, extra or ill-shaped, one line each; empty if it is what is due."""
    missing = sorted(due.keys() - found.keys() - {TIED_HEAD})
    extra = sorted(found.keys() - due.keys())
    ill_shaped = [
        f"{key} is {list(found[key].shape)} where {list(shape)} is due"
        for key, shape in due.items()
        if key in found and tuple(found[key].shape) != shape
    ]
    lines = (
        ("missing", missing),
        ("unexpected", [printable(key) for key in extra]),
        ("ill-shaped", ill_shaped),
    )
    return [f"{place}: {kind} keys: {listing(keys)}" for kind, keys in lines if keys]


def _spelled(key: str) -> str:
    key = key.removeprefix(_GENERATOR)
    for old, new in _OLD_WEIGHT_NORM.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key


def _is_plain(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and type(value) in (Tensor, torch.nn.Parameter)
        and value.layout is torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
        and value.dtype in _DTYPES
    )


def _read_safetensors(path: Path) -> dict[object, object]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name}: not readable: {printable(error)}") from error


def _read_torch(path: Path) -> dict[object, object]:
    _check_archive(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path.name}: holds more than tensors, and code is never run: {printable(error)}"
        ) from error
    except Exception as error:  # a hostile pickle can make the unpickler fail in any way
        raise CheckpointError(f"{path.name}: not readable: {printable(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name}: {type(value).__name__} where a state dict is due")
    return value


def _check_archive(path: Path) -> None:
    """Members must be stored as they are: one that inflates could fill the memory. Raises CheckpointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise CheckpointError(
            f"{path.name}: not a whole archive of torch.save: {printable(error)}"
        ) from error
    except Exception as error:  # zipfile raises what its parsing meets: struct.error, ...
        raise CheckpointError(f"{path.name}: a broken archive: {printable(error)}") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(f"{path.name}: a compressed archive, which torch.save does not write")
    if any(m.file_size > _LARGEST_PICKLE for m in members if m.filename.endswith(".pkl")):
        raise CheckpointError(f"{path.name}: its index of tensors is too large")
