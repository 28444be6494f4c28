"""One pass of the speech LM over whatever its contexts wait for: single tokens of some, whole prompts
of others, all rows in the same matrix products.

Qwen2: RMSNorm, rotary positions (rotating halves), grouped-query attention with q, k and v biases, SwiGLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..linear import PackedLinear
from .attention import Batch, KvCache, Span
from .ids import IdSpace
from .qwen2 import Layer, Qwen2Lm, Scale

__all__ = ["Batch", "LmDecoder", "Span"]


@dataclass(frozen=True, slots=True)
class _Block:
    """A layer, with the projections that share an input in one matrix."""

    input_norm: Tensor
    qkv: PackedLinear
    o: PackedLinear
    mlp_norm: Tensor
    gate_up: PackedLinear
    down: PackedLinear


class LmDecoder:
    """Computes with a Qwen2Lm's weights, on their device. Holds nothing of any stream.

    It takes the model over: the projections' parameters become views of fused matrices. The final norm
    and the speech head are computed in fp32 whatever the weights' dtype. pack: see PackedLinear.
    """

    def __init__(self, model: Qwen2Lm, *, pack: bool = True) -> None:
        backbone = model.backbone
        self.config = model.config
        self.ids = IdSpace.of(model.config)
        self._speech = model.speech_embedding.weight.detach()
        apart = model.llm_embedding
        self._special = None if apart is None else apart.weight.detach()
        self._text = backbone.embed_tokens.weight.detach()
        self.device = self._speech.device
        self.dtype = self._speech.dtype
        self._blocks = [
            _block(layer, pack) for layer in backbone.layers if isinstance(layer, Layer)
        ]
        self._norm = _gain(backbone.norm)
        self._head = model.llm_decoder.weight.detach().float()
        bias = model.llm_decoder.bias if model.config.head_bias else None
        self._head_bias = None if bias is None else bias.detach().float()
        self._frequencies = self._rotary_frequencies()

    def new_cache(self) -> KvCache:
        return KvCache(self.config, self.device, self.dtype)

    def forward(
        self, spans: Sequence[Span], cache: KvCache, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Read the spans' ids into their slots; their hidden states [ids, hidden], before the final norm.

        The spans' rows follow one another. dtype: of the computation, the weights' own by default.
        """
        cache.reserve(
            max(span.slot for span in spans) + 1, max(span.start + len(span.ids) for span in spans)
        )
        batch = Batch(spans, cache.capacity, self.device)
        x = self._embed(batch).to(dtype or self.dtype)
        cos, sin = self._rotation(batch.positions, x.dtype)
        eps = self.config.rms_norm_eps
        for block, keys, values in zip(self._blocks, cache.keys, cache.values, strict=True):
            qkv = block.qkv(_rms_norm(x, block.input_norm, eps))
            x = x + block.o(self._attend(qkv, cos, sin, keys, values, batch))
            gate, up = block.gate_up(_rms_norm(x, block.mlp_norm, eps)).chunk(2, dim=-1)
            x = x + block.down(F.silu(gate) * up)
        return x

    def normed(self, hidden: Tensor) -> Tensor:
        """The final norm, in fp32."""
        return _rms_norm(hidden.float(), self._norm, self.config.rms_norm_eps)

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits [rows, speech ids], in fp32, of hidden states as `forward` returns them."""
        return F.linear(self.normed(hidden), self._head, self._head_bias)

    def _embed(self, batch: Batch) -> Tensor:
        ids, space = batch.ids, self.ids
        if batch.highest < space.head_size:  # while decoding, always
            return F.embedding(ids, self._speech)
        speech = F.embedding(ids.clamp(max=space.head_size - 1), self._speech)
        text = F.embedding((ids - space.text_begin).clamp(min=0), self._text)
        kind = ids.unsqueeze(-1)
        if self._special is not None:
            apart = (ids - space.head_size).clamp(0, self._special.shape[0] - 1)
            special = F.embedding(apart, self._special)
            speech = torch.where(kind < space.head_size, speech, special)
        return torch.where(kind < space.text_begin, speech, text)

    def _attend(
        self, qkv: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, batch: Batch
    ) -> Tensor:
        """keys, values: one layer's cache [slots, positions, kv heads, head size]."""
        config = self.config
        heads, shared, size = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        rows = qkv.shape[0]
        turned = qkv[:, : (heads + shared) * size].view(rows, heads + shared, size)
        turned = _rotate(turned, cos, sin)
        q = turned[:, :heads].reshape(rows, shared, heads // shared, size)
        k = turned[:, heads:]
        v = qkv[:, (heads + shared) * size :].view(rows, shared, size)
        keys.view(-1, shared, size).index_copy_(0, batch.targets, k.to(keys.dtype))
        values.view(-1, shared, size).index_copy_(0, batch.targets, v.to(values.dtype))
        return batch.attention(q, keys, values).reshape(rows, heads * size)

    def _rotary_frequencies(self) -> Tensor:
        size = self.config.head_dim
        exponents = torch.arange(0, size, 2, dtype=torch.float32) / size
        return (1.0 / self.config.rope_theta**exponents).to(self.device)

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        angles = positions.float().unsqueeze(-1) * self._frequencies
        angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
        return angles.cos().to(dtype), angles.sin().to(dtype)


def _block(layer: Layer, pack: bool) -> _Block:
    attention, mlp = layer.self_attn, layer.mlp
    packed = partial(PackedLinear, fuse=True, pack=pack)
    return _Block(
        input_norm=_gain(layer.input_layernorm),
        qkv=packed(attention.q_proj, attention.k_proj, attention.v_proj),
        o=packed(attention.o_proj),
        mlp_norm=_gain(layer.post_attention_layernorm),
        gate_up=packed(mlp.gate_proj, mlp.up_proj),
        down=packed(mlp.down_proj),
    )


def _gain(scale: Scale) -> Tensor:
    return scale.weight.detach().float()


def _rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x.float(), gain.shape, gain, eps).to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin
