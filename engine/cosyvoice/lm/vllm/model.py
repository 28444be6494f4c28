"""The speech LM as a vLLM model: Qwen2 with one embedding for all that it reads and a head for speech.

`config.vocab_size` is the head's size, since it is ids of the head that vLLM's sampler deals in;
`config.embed_vocab_size` is the number of ids that can be read (ids.IdSpace). `config.head_bias`: whether
the head has one; it has where the entry is missing.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.distributed import get_pp_group
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)
from vllm.model_executor.models.qwen2 import Qwen2Attention, Qwen2DecoderLayer, Qwen2Model
from vllm.model_executor.models.utils import AutoWeightsLoader, maybe_prefix


class FiniteAttention(Qwen2Attention):
    """Qwen2's, which writes no value into the cache that is not finite.

    A block of the cache comes to its next owner as it was left. Beyond the owner's ids its values are
    multiplied by zero, which does not help against NaN: one stream whose numbers overflow would spoil
    those of others later. Its keys still hold NaN, so all that it says itself is seen to be broken.
    """

    def forward(self, positions: Tensor, hidden_states: Tensor) -> Tensor:
        qkv, _ = self.qkv_proj(hidden_states)
        q, k, v = qkv.split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        q, k = self.rotary_emb(positions, q, k)
        attended = self.attn(q, k, v.nan_to_num(0.0, 0.0, 0.0))
        output: Tensor = self.o_proj(attended)[0]
        return output


class CosyVoiceSpeechLM(nn.Module):
    packed_modules_mapping = {  # noqa: RUF012 - vLLM's protocol
        "qkv_proj": ["q_proj", "k_proj", "v_proj"],
        "gate_up_proj": ["gate_proj", "up_proj"],
    }

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config
        quantization = vllm_config.quant_config
        if get_pp_group().world_size > 1:
            raise ValueError("the speech LM does not run in a pipeline of devices")
        self.config = config
        self.model = Qwen2Model(vllm_config=vllm_config, prefix=maybe_prefix(prefix, "model"))
        self.model.embed_tokens = VocabParallelEmbedding(
            config.embed_vocab_size,
            config.hidden_size,
            prefix=maybe_prefix(prefix, "model.embed_tokens"),
        )
        for layer in self.model.layers:
            if isinstance(layer, Qwen2DecoderLayer):
                layer.self_attn.__class__ = FiniteAttention
        self.lm_head = ParallelLMHead(
            config.vocab_size,
            config.hidden_size,
            bias=getattr(config, "head_bias", True),
            quant_config=quantization,
            prefix=maybe_prefix(prefix, "lm_head"),
        )
        self.logits_processor = LogitsProcessor(config.vocab_size)

    def embed_input_ids(self, input_ids: Tensor) -> Tensor:
        embedded: Tensor = self.model.embed_tokens(input_ids)
        return embedded

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: object = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        hidden: Tensor = self.model(input_ids, positions, intermediate_tensors, inputs_embeds)
        return hidden

    def compute_logits(self, hidden_states: Tensor) -> torch.Tensor | None:
        logits: Tensor | None = self.logits_processor(
            self.lm_head, hidden_states, self.lm_head.bias
        )
        return logits

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        loaded: set[str] = AutoWeightsLoader(self).load_weights(weights)
        return loaded
