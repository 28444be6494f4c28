"""CosyVoice 3 (arXiv:2505.17589): a diffusion transformer (DiT) as flow, and a causal HiFT vocoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..config import FRAMES_PER_TOKEN, CosyVoice3Config, CosyVoice3LmConfig
from ..flow import DitFlow
from ..lm.qwen2 import Qwen2Lm
from ..vocoder import DIRECTION, CausalHift
from . import sizes
from .family import Family
from .sizes import SizeTable, count, dimension

_DIT: Final = "decoder.estimator"
_GROUPS: Final = 16
"""Of the DiT's position convolution."""


def _flow_rules(config: CosyVoice3Config) -> Iterator[tuple[str, bool]]:
    dit = config.flow.dit
    yield f"flow.dit.dim: not a multiple of {_GROUPS}", dit.dim % _GROUPS == 0
    yield "flow.dit.head_dim: odd", dit.head_dim % 2 == 0
    yield (
        f"flow.dit.chunk_frames: not a multiple of {FRAMES_PER_TOKEN}",
        dit.chunk_frames % FRAMES_PER_TOKEN == 0,
    )


_SIZES: Final = SizeTable(
    classes={
        "llm": "CosyVoice3LM",
        "flow": "CausalMaskedDiffWithDiT",
        "hift": "CausalHiFTGenerator",
    },
    entries={
        **sizes.ENTRIES,
        "flow.input_size": "flow.mel_size",
        "flow.pre_lookahead_layer.in_channels": "flow.mel_size",
        "flow.pre_lookahead_layer.channels": "flow.look_ahead_channels",
        "flow.pre_lookahead_layer.pre_lookahead_len": "flow.look_ahead",
        "flow.decoder.estimator.dim": "flow.dit.dim",
        "flow.decoder.estimator.depth": "flow.dit.depth",
        "flow.decoder.estimator.heads": "flow.dit.heads",
        "flow.decoder.estimator.dim_head": "flow.dit.head_dim",
        "flow.decoder.estimator.ff_mult": "flow.dit.ff_mult",
        "flow.decoder.estimator.mel_dim": "flow.mel_size",
        "flow.decoder.estimator.mu_dim": "flow.mel_size",
        "flow.decoder.estimator.spk_dim": "flow.mel_size",
        "flow.decoder.estimator.out_channels": "flow.mel_size",
        "flow.decoder.estimator.static_chunk_size": "flow.dit.chunk_frames",
        "hift.conv_pre_look_right": "hift.look_right",
    },
    only={**sizes.ONLY, "feat_extractor.fmax": None},
    readers={
        "llm": {
            **sizes.LM_READERS,
            "lm.speech_token_size": dimension(
                "llm_decoder.weight", 2, 0, -CosyVoice3LmConfig.specials.rows
            ),
        },
        "flow": {
            **sizes.FLOW_READERS,
            "flow.look_ahead": dimension("pre_lookahead_layer.conv1.weight", 3, 2, -1),
            "flow.look_ahead_channels": dimension("pre_lookahead_layer.conv1.weight", 3, 0),
            "flow.dit.dim": dimension(f"{_DIT}.input_embed.proj.weight", 2, 0),
            "flow.dit.depth": count(f"{_DIT}.transformer_blocks"),
        },
        "hift": {
            **sizes.HIFT_READERS,
            "hift.look_right": dimension(f"conv_pre{DIRECTION}", 3, 2, -1),
        },
    },
    rules=_flow_rules,
)
_FIRST_F0_KERNEL: Final = dimension(f"f0_predictor.condnet.0{DIRECTION}", 3, 2)

COSYVOICE3: Final = Family(
    name="cosyvoice3",
    title="CosyVoice 3",
    yaml="cosyvoice3.yaml",
    speech_tokenizer="speech_tokenizer_v3.onnx",
    lm_files={"base": "llm", "rl": "llm.rl"},
    config=CosyVoice3Config,
    sizes=_SIZES,
    recognises={
        "llm": lambda shapes: "llm_decoder.weight" in shapes and "llm_decoder.bias" not in shapes,
        "flow": lambda shapes: "pre_lookahead_layer.conv1.weight" in shapes,
        "hift": lambda shapes: _FIRST_F0_KERNEL(shapes) == 4,
    },
    networks={"llm": Qwen2Lm, "flow": DitFlow, "hift": CausalHift},
)
