"""CosyVoice 2 (arXiv:2412.10117): a U-Net flow behind a conformer encoder, and a HiFT vocoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..config import FRAMES_PER_TOKEN, CosyVoice2Config
from ..flow import Flow
from ..lm import LmPrompt
from ..lm.qwen2 import Qwen2Lm
from ..text import TextProcessor
from ..text.tokenizer import SPECIAL_TOKENS
from ..vocoder import DIRECTION, Hift
from . import sizes
from .family import Family, Spoken
from .sizes import SizeTable, count, dimension

_BLOCK: Final = "encoder.encoders.0"
_ESTIMATOR: Final = "decoder.estimator"


def _flow_rules(config: CosyVoice2Config) -> Iterator[tuple[str, bool]]:
    flow = config.flow
    encoder, estimator = flow.encoder, flow.estimator
    yield (
        "flow.encoder.size: not a multiple of twice flow.encoder.attention_heads",
        encoder.size % (2 * encoder.attention_heads) == 0,
    )
    yield (
        f"flow.estimator.chunk_frames: not {FRAMES_PER_TOKEN} x flow.encoder.chunk_tokens",
        estimator.chunk_frames == FRAMES_PER_TOKEN * encoder.chunk_tokens,
    )
    yield (
        "flow.estimator.in_channels: not 4 x flow.mel_size",
        estimator.in_channels == 4 * flow.mel_size,
    )
    yield (
        "flow.estimator.out_channels: not flow.mel_size",
        estimator.out_channels == flow.mel_size,
    )


_SIZES: Final = SizeTable(
    classes={"llm": "Qwen2LM", "flow": "CausalMaskedDiffWithXvec", "hift": "HiFTGenerator"},
    entries={
        **sizes.ENTRIES,
        "flow.input_size": "flow.encoder.size",
        "flow.encoder.input_size": "flow.encoder.size",
        "flow.encoder.output_size": "flow.encoder.size",
        "flow.encoder.attention_heads": "flow.encoder.attention_heads",
        "flow.encoder.linear_units": "flow.encoder.linear_units",
        "flow.encoder.num_blocks": "flow.encoder.num_blocks",
        "flow.encoder.static_chunk_size": "flow.encoder.chunk_tokens",
        "flow.decoder.estimator.in_channels": "flow.estimator.in_channels",
        "flow.decoder.estimator.out_channels": "flow.estimator.out_channels",
        "flow.decoder.estimator.attention_head_dim": "flow.estimator.attention_head_dim",
        "flow.decoder.estimator.num_heads": "flow.estimator.num_heads",
        "flow.decoder.estimator.n_blocks": "flow.estimator.n_blocks",
        "flow.decoder.estimator.num_mid_blocks": "flow.estimator.num_mid_blocks",
        "flow.decoder.estimator.static_chunk_size": "flow.estimator.chunk_frames",
    },
    # Zero chunks mean "set elsewhere" in files of the first release.
    chunks=frozenset(
        {"flow.encoder.static_chunk_size", "flow.decoder.estimator.static_chunk_size"}
    ),
    lists=(
        ("llm.mix_ratio", ("lm.mix_text", "lm.mix_speech"), "not two numbers"),
        (
            "flow.decoder.estimator.channels",
            ("flow.estimator.channels",),
            "not a list of one width",
        ),
    ),
    only={
        **sizes.ONLY,
        "flow.encoder.normalize_before": True,
        "flow.encoder.input_layer": "linear",
        "flow.encoder.pos_enc_layer_type": "rel_pos_espnet",
        "flow.encoder.selfattention_layer_type": "rel_selfattn",
        "flow.encoder.use_cnn_module": False,
        "flow.encoder.macaron_style": False,
        "flow.decoder.estimator.act_fn": "gelu",
        "feat_extractor.fmax": 8000,
    },
    readers={
        "llm": {
            **sizes.LM_READERS,
            "lm.speech_token_size": dimension("llm_decoder.weight", 2, 0, -3),
        },
        "flow": {
            **sizes.FLOW_READERS,
            "flow.look_ahead": dimension("encoder.pre_lookahead_layer.conv1.weight", 3, 2, -1),
            "flow.encoder.size": dimension("encoder.embed.out.0.weight", 2, 0),
            "flow.encoder.attention_heads": dimension(f"{_BLOCK}.self_attn.pos_bias_u", 2, 0),
            "flow.encoder.linear_units": dimension(f"{_BLOCK}.feed_forward.w_1.weight", 2, 0),
            "flow.encoder.num_blocks": count("encoder.encoders"),
            "flow.encoder.num_up_blocks": count("encoder.up_encoders"),
            "flow.estimator.in_channels": dimension(f"{_ESTIMATOR}.time_mlp.linear_1.weight", 2, 1),
            "flow.estimator.out_channels": dimension(f"{_ESTIMATOR}.final_proj.weight", 3, 0),
            "flow.estimator.channels": dimension(f"{_ESTIMATOR}.final_proj.weight", 3, 1),
            "flow.estimator.n_blocks": count(f"{_ESTIMATOR}.down_blocks.0.1"),
            "flow.estimator.num_mid_blocks": count(f"{_ESTIMATOR}.mid_blocks"),
        },
        "hift": sizes.HIFT_READERS,
    },
    rules=_flow_rules,
)
_FIRST_F0_KERNEL: Final = dimension(f"f0_predictor.condnet.0{DIRECTION}", 3, 2)


def _lm_prompt(text: TextProcessor, spoken: Spoken) -> LmPrompt:
    """The transcript and its speech, or the instruction. Dialects of Chinese (Sichuan, Shanghai, Tianjin and
    others) are asked for by instruction.

    Without its words a clip's tokens would pass for the beginning of the text to be spoken.
    """
    if spoken.instruction:
        return LmPrompt(text.instruction(spoken.instruction), tenant=spoken.tenant)
    if spoken.transcript:
        return LmPrompt(spoken.transcript, spoken.speech, spoken.tenant)
    return LmPrompt(tenant=spoken.tenant)


COSYVOICE2: Final = Family(
    name="cosyvoice2",
    title="CosyVoice 2",
    models=("cosyvoice-v2", "CosyVoice2-0.5B"),
    yaml="cosyvoice2.yaml",
    speech_tokenizer="speech_tokenizer_v2.onnx",
    lm_files={"base": "llm"},
    config=CosyVoice2Config,
    sizes=_SIZES,
    recognises={
        "llm": lambda shapes: "llm_embedding.weight" in shapes,
        "flow": lambda shapes: "encoder_proj.weight" in shapes,
        "hift": lambda shapes: _FIRST_F0_KERNEL(shapes) == 3,
    },
    networks={"llm": Qwen2Lm, "flow": Flow, "hift": Hift},
    special_tokens=SPECIAL_TOKENS,
    sounds=None,
    katakana=False,
    lm_prompt=_lm_prompt,
    languages=("zh", "yue", "en", "ja", "ko"),
    prompt_mel_top=8000.0,
    silence=None,
)
