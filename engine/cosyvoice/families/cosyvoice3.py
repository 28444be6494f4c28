"""CosyVoice 3 (arXiv:2505.17589): a diffusion transformer (DiT) as flow, and a causal HiFT vocoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..config import FRAMES_PER_TOKEN, SAMPLE_RATE, CosyVoice3Config, CosyVoice3LmConfig
from ..flow import DitFlow
from ..lm import LmPrompt
from ..lm.qwen2 import Qwen2Lm
from ..lm.silence import SilentTokens
from ..text import TextProcessor
from ..text.sounds import PHONEMES, PINYIN, SoundTokens
from ..text.tokenizer import END_OF_PROMPT, SPECIAL_TOKENS
from ..vocoder import DIRECTION, CausalHift
from . import sizes
from .family import Family, Spoken
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

_ROLE: Final = "You are a helpful assistant."
"""Begins every prompt of the training data."""


def _lm_prompt(text: TextProcessor, spoken: Spoken) -> LmPrompt:
    """The role and the instruction before all else; without one, then the transcript and its speech.

    Clients of the reference write the role and the end of the prompt themselves: they are not read twice.
    """
    instruction = spoken.instruction.replace(END_OF_PROMPT, " ").strip()
    instruction = instruction.removeprefix(_ROLE).strip()
    tokenizer = text.tokenizer
    opening = tokenizer.encode(f"{_ROLE} {instruction}".rstrip())
    return LmPrompt(
        text_ids=() if instruction else spoken.transcript,
        speech_ids=() if instruction or not spoken.transcript else spoken.speech,
        tenant=spoken.tenant,
        opening_ids=(*opening, tokenizer.special[END_OF_PROMPT]),
    )


COSYVOICE3: Final = Family(
    name="cosyvoice3",
    title="CosyVoice 3",
    models=("cosyvoice-v3", "Fun-CosyVoice3-0.5B-2512"),
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
    special_tokens=(*SPECIAL_TOKENS, "<|endofsystem|>", *PHONEMES, *PINYIN),
    sounds=SoundTokens((*PHONEMES, *PINYIN)),
    katakana=True,
    lm_prompt=_lm_prompt,
    languages=("zh", "yue", "en", "ja", "ko", "de", "es", "fr", "it", "ru"),
    prompt_mel_top=SAMPLE_RATE / 2,
    silence=SilentTokens(
        frozenset({1, 2, 28, 29, 55, 248, 494, 2241, 2242, 2322, 2323}),
        most=5,
    ),
)
