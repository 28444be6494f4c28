"""The reference's names for the sizes of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosyserve.engine.cosyvoice.config import (
    CosyVoice2Config,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LmConfig,
)


def model_config(raw: Mapping[str, Any]) -> CosyVoice2Config:
    """Of the nested dictionary that the golden vectors' config.json holds. Raises KeyError."""
    qwen, llm, flow, encoder = raw["qwen"], raw["llm"], raw["flow"], raw["encoder"]
    estimator, hift, fixed = raw["estimator"], raw["hift"], raw["hift_fixed"]
    known = {f.name for f in fields(LmConfig)}
    mix_text, mix_speech = llm["mix_ratio"]
    return CosyVoice2Config(
        lm=LmConfig(
            **{name: value for name, value in qwen.items() if name in known},
            speech_token_size=llm["speech_token_size"],
            mix_text=mix_text,
            mix_speech=mix_speech,
        ),
        flow=FlowConfig(
            mel_size=flow["output_size"],
            speaker_size=flow["spk_embed_dim"],
            vocab_size=flow["vocab_size"],
            look_ahead=flow["pre_lookahead_len"],
            cfg_rate=raw["cfm"]["inference_cfg_rate"],
            encoder=EncoderConfig(
                size=encoder["output_size"],
                attention_heads=encoder["attention_heads"],
                linear_units=encoder["linear_units"],
                num_blocks=encoder["num_blocks"],
                num_up_blocks=encoder["num_up_blocks"],
                chunk_tokens=encoder["static_chunk_size"],
            ),
            estimator=EstimatorConfig(
                in_channels=estimator["in_channels"],
                out_channels=estimator["out_channels"],
                channels=estimator["channels"][0],
                attention_head_dim=estimator["attention_head_dim"],
                num_heads=estimator["num_heads"],
                n_blocks=estimator["n_blocks"],
                num_mid_blocks=estimator["num_mid_blocks"],
                chunk_frames=estimator["static_chunk_size"],
            ),
        ),
        hift=HiftConfig(
            mel_size=hift["in_channels"],
            base_channels=hift["base_channels"],
            f0_channels=hift["f0_cond_channels"],
            harmonics=fixed["nb_harmonics"],
            sine_amplitude=fixed["nsf_alpha"],
            noise_sigma=fixed["nsf_sigma"],
            voiced_threshold=float(fixed["nsf_voiced_threshold"]),
            upsample_rates=tuple(fixed["upsample_rates"]),
            upsample_kernels=tuple(fixed["upsample_kernel_sizes"]),
            n_fft=fixed["n_fft"],
            hop=fixed["hop_len"],
            resblock_kernels=tuple(fixed["resblock_kernel_sizes"]),
            resblock_dilations=_pairs(fixed["resblock_dilation_sizes"]),
            source_resblock_kernels=tuple(fixed["source_resblock_kernel_sizes"]),
            source_resblock_dilations=_pairs(fixed["source_resblock_dilation_sizes"]),
            leaky_slope=fixed["lrelu_slope"],
            audio_limit=fixed["audio_limit"],
        ),
    )


def _pairs(lists: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in lists)
