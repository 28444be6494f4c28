"""The product's LM weights with a forward pass that has gradients, and what helps it to learn to read.

The decoder that serves (`LmDecoder` in the engine) computes with fused, detached weights, a token at a time;
this is the same arithmetic over whole sequences. A test holds one against the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.qwen2 import Layer, Qwen2Lm, Scale

from .sequences import IGNORED, LmBatch

_SPREAD: Final = 0.04
"""Standard deviation of the first weights."""
GUIDED_HEADS: Final = 2
_GUIDE_WIDTH: Final = 0.8
"""Characters: how far from the place that is said attention may look without loss."""
_VISIBLE: Final = 0.1
_FLOOR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class LmOutput:
    """logits [B, n, head]. phonemes [B, n, labels]: of the code to come. attention [B, heads, n, n]: of the
    guided heads.
    """

    logits: Tensor
    phonemes: Tensor
    attention: Tensor


class LmNetwork(nn.Module):
    """lm: what is kept. The phoneme head is for the training only."""

    def __init__(self, config: LmConfig, phonemes: int) -> None:
        super().__init__()
        self.config = config
        self.lm = Qwen2Lm(config)
        self.phonemes = nn.Linear(config.hidden_size, phonemes + 1)
        self._guided = config.num_hidden_layers // 2
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.lm.named_parameters():
            if parameter.dim() == 1:
                nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
            else:
                nn.init.normal_(parameter, std=_SPREAD)
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    parameter.data /= math.sqrt(2 * self.config.num_hidden_layers)

    def forward(self, ids: Tensor) -> LmOutput:
        """ids [B, n] of the product's IdSpace."""
        backbone = self.lm.backbone
        tables = self.lm.speech_embedding, self.lm.llm_embedding, backbone.embed_tokens
        x = F.embedding(ids, torch.cat([table.weight for table in tables if table is not None]))
        rotation = self._rotation(ids.shape[1])
        attention = phonemes = x.new_zeros(0)
        for index, layer in enumerate(backbone.layers):
            assert isinstance(layer, Layer)
            query, key, value = self._projected(layer, x, rotation)
            if index == self._guided:
                attention = _attention(query[:, :GUIDED_HEADS], key[:, :GUIDED_HEADS])
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
            normed = self._norm(x, layer.post_attention_layernorm)
            gate = F.silu(layer.mlp.gate_proj(normed))
            x = x + layer.mlp.down_proj(gate * layer.mlp.up_proj(normed))
            if index == min(self._guided + 1, len(backbone.layers) - 1):
                phonemes = self.phonemes(x)
        return LmOutput(self.lm.llm_decoder(self._norm(x, backbone.norm)), phonemes, attention)

    def _projected(
        self, layer: Layer, x: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, heads, n, head size]."""
        own, size = layer.self_attn, self.config.head_dim
        shared = self.config.num_attention_heads // self.config.num_key_value_heads
        normed = self._norm(x, layer.input_layernorm)
        query, key, value = (
            projection(normed).unflatten(2, (-1, size)).transpose(1, 2)
            for projection in (own.q_proj, own.k_proj, own.v_proj)
        )
        query, key = _rotated(query, rotation), _rotated(key, rotation)
        return query, key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)

    def _norm(self, x: Tensor, scale: Scale) -> Tensor:
        return F.rms_norm(x, scale.weight.shape, scale.weight, self.config.rms_norm_eps)

    def _rotation(self, length: int) -> tuple[Tensor, Tensor]:
        size = self.config.head_dim
        frequencies = 1.0 / self.config.rope_theta ** (torch.arange(0, size, 2) / size)
        angles = torch.arange(length)[:, None] * frequencies
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


def _attention(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~seen, -torch.inf).softmax(-1)


def masked(batch: LmBatch, share: float, space: IdSpace) -> Tensor:
    """The batch's ids with this share of the codes hidden, so that sound alone does not tell what comes."""
    hidden = (torch.rand(batch.ids.shape) < share) & (batch.ids < space.speech_size)
    return batch.ids.masked_fill(hidden, space.unused)


def speech_loss(output: LmOutput, batch: LmBatch) -> Tensor:
    """Nats per code, stop ids included."""
    return F.cross_entropy(
        output.logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
    )


def phoneme_loss(output: LmOutput, batch: LmBatch) -> Tensor:
    """Nats per code whose phoneme is known."""
    known = batch.phonemes > 0
    if not bool(known.any()):
        return output.phonemes.sum() * 0
    return F.cross_entropy(output.phonemes[known], batch.phonemes[known])


def guide_loss(output: LmOutput, batch: LmBatch) -> Tensor:
    """-log of the guided heads' attention on the text that is said next, where that has been read."""
    begin, end = batch.spans[:, None].unbind(-1)
    at = batch.characters[..., None]
    distance = torch.maximum(begin - at, at - end).clamp(min=0)
    near = torch.exp(-0.5 * (distance / _GUIDE_WIDTH).square()).nan_to_num(0.0).tril()
    asked = near.amax(-1) > _VISIBLE
    if not bool(asked.any()):
        return output.attention.sum() * 0
    found = (output.attention * near[:, None]).sum(-1)
    return -(found + _FLOOR).log().transpose(1, 2)[asked].mean()
