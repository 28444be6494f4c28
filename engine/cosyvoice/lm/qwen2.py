"""The speech LM's weights under the names that llm.pt gives them: a Qwen2 decoder with a speech
embedding, in CosyVoice 2 two special embeddings, and a speech head.

The modules hold parameters and nothing else; decoder.LmDecoder computes with them. Build on the meta
device and load with assign:

    with torch.device("meta"):
        model = Qwen2Lm(config)
    model.load_state_dict(weights, strict=True, assign=True)

The checkpoint's text head, a copy of the text embedding that speech never uses, is accepted and left
out: the state dictionary may hold it or not.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..config import LmConfig

TEXT_EMBEDDING: Final = "llm.model.model.embed_tokens.weight"
TIED_HEAD: Final = "llm.model.lm_head.weight"
"""Qwen2's text head: the text embedding once more, never used for speech; a checkpoint may leave it out."""


class Scale(nn.Module):
    """The gain of an RMSNorm."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))


class Attention(nn.Module):
    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        size, head = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(size, config.num_attention_heads * head)
        self.k_proj = nn.Linear(size, config.num_key_value_heads * head)
        self.v_proj = nn.Linear(size, config.num_key_value_heads * head)
        self.o_proj = nn.Linear(config.num_attention_heads * head, size, bias=False)


class Mlp(nn.Module):
    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)


class Layer(nn.Module):
    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = Scale(config.hidden_size)
        self.post_attention_layernorm = Scale(config.hidden_size)


class Backbone(nn.Module):
    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = Scale(config.hidden_size)


class _CausalLm(nn.Module):
    """Only for its name in the checkpoint's keys."""

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.model = Backbone(config)


class _Encoder(nn.Module):
    """Only for its name in the checkpoint's keys."""

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.model = _CausalLm(config)


class Qwen2Lm(nn.Module):
    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.config = config
        self.llm_embedding = (
            nn.Embedding(config.specials.apart, config.hidden_size)
            if config.specials.apart
            else None
        )
        self.llm = _Encoder(config)
        self.llm_decoder = nn.Linear(config.hidden_size, config.head_size, bias=config.head_bias)
        self.speech_embedding = nn.Embedding(config.head_size, config.hidden_size)
        self.register_load_state_dict_pre_hook(_leave_out_text_head)  # type: ignore[no-untyped-call]

    @property
    def backbone(self) -> Backbone:
        return self.llm.model.model


def _leave_out_text_head(
    module: nn.Module, weights: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    weights.pop(prefix + TIED_HEAD, None)
