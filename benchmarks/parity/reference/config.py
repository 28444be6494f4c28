"""The reference's names for the sizes of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cosyserve.engine.cosyvoice.config import (
    CausalHiftConfig,
    CosyVoice2Config,
    CosyVoice3Config,
    CosyVoice3LmConfig,
    DitConfig,
    DitFlowConfig,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LmConfig,
    ModelConfig,
)


def model_config(raw: Mapping[str, Any]) -> ModelConfig:
    """Of the nested dictionary that the golden vectors' config.json holds. Raises KeyError."""
    return cosyvoice3_config(raw) if "pre_lookahead_layer" in raw else cosyvoice2_config(raw)


def cosyvoice2_config(raw: Mapping[str, Any]) -> CosyVoice2Config:
    """Raises KeyError."""
    qwen, llm, flow, encoder = raw["qwen"], raw["llm"], raw["flow"], raw["encoder"]
    estimator, hift, fixed = raw["estimator"], raw["hift"], raw["hift_fixed"]
    return CosyVoice2Config(
        lm=LmConfig(**_lm_sizes(qwen, llm)),
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
        hift=HiftConfig(**_hift_sizes(hift, fixed, fixed, hift["f0_cond_channels"])),
    )


def cosyvoice3_config(raw: Mapping[str, Any]) -> CosyVoice3Config:
    """Raises KeyError."""
    flow, dit, hift = raw["flow"], raw["estimator"], raw["hift"]
    return CosyVoice3Config(
        lm=CosyVoice3LmConfig(**_lm_sizes(raw["qwen"], raw["llm"])),
        flow=DitFlowConfig(
            mel_size=flow["output_size"],
            speaker_size=flow["spk_embed_dim"],
            vocab_size=flow["vocab_size"],
            look_ahead=flow["pre_lookahead_len"],
            cfg_rate=raw["cfm_params"]["inference_cfg_rate"],
            look_ahead_channels=raw["pre_lookahead_layer"]["channels"],
            dit=DitConfig(
                dim=dit["dim"],
                depth=dit["depth"],
                heads=dit["heads"],
                head_dim=dit["dim_head"],
                ff_mult=dit["ff_mult"],
                chunk_frames=dit["static_chunk_size"],
            ),
        ),
        hift=CausalHiftConfig(
            **_hift_sizes(hift, hift, hift["istft_params"], raw["f0_predictor"]["cond_channels"]),
            look_right=hift["conv_pre_look_right"],
        ),
    )


def _lm_sizes(qwen: Mapping[str, Any], llm: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(LmConfig)}
    mix_text, mix_speech = llm["mix_ratio"]
    return {
        **{name: value for name, value in qwen.items() if name in known},
        "speech_token_size": llm["speech_token_size"],
        "mix_text": mix_text,
        "mix_speech": mix_speech,
    }


def _hift_sizes(
    hift: Mapping[str, Any], fixed: Mapping[str, Any], istft: Mapping[str, Any], f0_channels: int
) -> dict[str, Any]:
    return {
        "mel_size": hift["in_channels"],
        "base_channels": hift["base_channels"],
        "f0_channels": f0_channels,
        "harmonics": fixed["nb_harmonics"],
        "sine_amplitude": fixed["nsf_alpha"],
        "noise_sigma": fixed["nsf_sigma"],
        "voiced_threshold": float(fixed["nsf_voiced_threshold"]),
        "upsample_rates": tuple(fixed["upsample_rates"]),
        "upsample_kernels": tuple(fixed["upsample_kernel_sizes"]),
        "n_fft": istft["n_fft"],
        "hop": istft["hop_len"],
        "resblock_kernels": tuple(fixed["resblock_kernel_sizes"]),
        "resblock_dilations": _pairs(fixed["resblock_dilation_sizes"]),
        "source_resblock_kernels": tuple(fixed["source_resblock_kernel_sizes"]),
        "source_resblock_dilations": _pairs(fixed["source_resblock_dilation_sizes"]),
        "leaky_slope": fixed["lrelu_slope"],
        "audio_limit": fixed["audio_limit"],
    }


def _pairs(lists: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in lists)
