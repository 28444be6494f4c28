"""A whole checkpoint directory in the official layout, with small random weights.

It speaks no language: it makes steady, voiced noise of a plausible length, which is what tests of the
plumbing need. `python -m support.tiny_checkpoint FOLDER` (from tests/) writes one to try a server with.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, Shape, expected
from cosyserve.engine.cosyvoice.config import (
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LmConfig,
    ModelConfig,
)
from cosyserve.engine.cosyvoice.lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from cosyserve.engine.cosyvoice.vocoder import DIRECTION, GAIN
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer
from support.engines.tiny_tokenizer import write_tokenizer

TINY: Final = ModelConfig(
    lm=LmConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        speech_token_size=216,
    ),
    flow=FlowConfig(
        vocab_size=216,
        encoder=EncoderConfig(
            size=32, attention_heads=2, linear_units=64, num_blocks=1, num_up_blocks=1
        ),
        estimator=EstimatorConfig(
            channels=32, attention_head_dim=16, num_heads=2, n_blocks=1, num_mid_blocks=1
        ),
    ),
    hift=HiftConfig(base_channels=32, f0_channels=16),
)


def build(folder: Path, seed: int = 0, config: ModelConfig = TINY) -> Path:
    """Write every file into the folder, made if need be; the same seed gives the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cosyvoice2.yaml").write_text(yaml_text(config))
    for part in PARTS:
        saved: dict[str, object] = {**weights(part, seed, config)}
        if part != "hift":
            saved |= {"epoch": 1, "step": 2}
        torch.save(saved, folder / f"{part}.pt")
    write_speech_tokenizer(folder / "speech_tokenizer_v2.onnx", tokens=config.lm.speech_token_size)
    write_speaker_encoder(folder / "campplus.onnx", size=config.flow.speaker_size)
    qwen = folder / "CosyVoice-BlankEN"
    qwen.mkdir(exist_ok=True)
    (qwen / "config.json").write_text(json.dumps(qwen_json(config.lm), indent=2))
    write_tokenizer(qwen)
    return folder


def weights(part: str, seed: int = 0, config: ModelConfig = TINY) -> dict[str, Tensor]:
    """The state dictionary of `llm`, `flow` or `hift`, under the official keys."""
    state: dict[str, Tensor] = {}
    for key, shape in expected(config, part).items():
        if key != TIED_HEAD:
            source = torch.Generator().manual_seed(zlib.crc32(f"{seed} {part} {key}".encode()))
            state[key] = _law(key, shape)(torch.randn(shape, generator=source))
    if part == "llm":
        state[TIED_HEAD] = state[TEXT_EMBEDDING]
        size = config.lm.speech_token_size
        # Speech ends by itself after a while; the other two stop ids are for the decoder to force.
        state["llm_decoder.bias"][size:] = torch.tensor([_EOS_BIAS, -20.0, -20.0])
    return state


_EOS_BIAS: Final = 2.0

_Law = Callable[[Tensor], Tensor]


def _law(key: str, shape: Shape) -> _Law:
    """From standard normal noise to a weight that keeps signals at about their size through the layers."""
    if key.endswith(GAIN):
        return lambda noise: _gain(key) * (0.1 * noise).exp()
    if key.endswith((DIRECTION, "m_source.l_linear.weight", "input_embedding.weight")):
        return lambda noise: noise
    if key.endswith(".alpha"):
        return lambda noise: (0.2 * noise).exp()
    if key == "f0_predictor.classifier.weight":
        return lambda noise: 60.0 * noise / math.sqrt(shape[1])
    if key == "f0_predictor.classifier.bias":
        return lambda noise: torch.full_like(noise, 180.0)
    if key == "conv_post.bias":
        return lambda noise: 0.1 * noise - 1.0
    if len(shape) == 1 and key.endswith(".weight"):
        return lambda noise: 1.0 + 0.1 * noise
    if key.endswith(("embed_tokens.weight", "embedding.weight")):
        return lambda noise: 0.5 * noise
    if key == "llm_decoder.weight":
        return lambda noise: 2.0 * noise / math.sqrt(shape[1])
    if len(shape) == 1:
        return lambda noise: 0.05 * noise
    return lambda noise: noise / math.sqrt(math.prod(shape[1:]))


def _gain(key: str) -> float:
    if ".convs2." in key:
        return 0.4  # the branches of a residual sum, which would grow otherwise
    return 0.7 if key.startswith("conv_post") else 1.2


def qwen_json(config: LmConfig) -> dict[str, object]:
    """The config.json that transformers writes for a Qwen2 of these sizes."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_norm_eps,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "torch_dtype": "bfloat16",
    }


def yaml_text(config: ModelConfig = TINY) -> str:
    """cosyvoice2.yaml with the entries, tags and references that the published file has."""
    lm, flow, hift, sampling = config.lm, config.flow, config.hift, config.sampling
    encoder, estimator = flow.encoder, flow.estimator
    return f"""\
__set_seed1: !apply:random.seed [1986]
sample_rate: 24000
llm_input_size: {lm.hidden_size}
llm_output_size: {lm.hidden_size}
spk_embed_dim: {flow.speaker_size}
qwen_pretrain_path: ''
token_frame_rate: 25
token_mel_ratio: 2
chunk_size: {encoder.chunk_tokens} # in tokens
num_decoding_left_chunks: -1
llm: !new:cosyvoice.llm.llm.Qwen2LM
    llm_input_size: !ref <llm_input_size>
    llm_output_size: !ref <llm_output_size>
    speech_token_size: {lm.speech_token_size}
    length_normalized_loss: True
    lsm_weight: 0
    mix_ratio: [{lm.mix_text}, {lm.mix_speech}]
    llm: !new:cosyvoice.llm.llm.Qwen2Encoder
        pretrain_path: !ref <qwen_pretrain_path>
    sampling: !name:cosyvoice.utils.common.ras_sampling
        top_p: {sampling.top_p}
        top_k: {sampling.top_k}
        win_size: {sampling.win_size}
        tau_r: {sampling.tau_r}
flow: !new:cosyvoice.flow.flow.CausalMaskedDiffWithXvec
    input_size: {flow.input_size}
    output_size: {flow.mel_size}
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {flow.vocab_size}
    input_frame_rate: !ref <token_frame_rate>
    token_mel_ratio: !ref <token_mel_ratio>
    pre_lookahead_len: {flow.look_ahead}
    encoder: !new:cosyvoice.transformer.upsample_encoder.UpsampleConformerEncoder
        output_size: {encoder.size}
        attention_heads: {encoder.attention_heads}
        linear_units: {encoder.linear_units}
        num_blocks: {encoder.num_blocks}
        dropout_rate: 0.1
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        input_size: {encoder.size}
        use_cnn_module: False
        macaron_style: False
        static_chunk_size: !ref <chunk_size>
    decoder: !new:cosyvoice.flow.flow_matching.CausalConditionalCFM
        in_channels: {3 * flow.mel_size}
        n_spks: 1
        spk_emb_dim: {flow.mel_size}
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                inference_cfg_rate: {flow.cfg_rate}
        estimator: !new:cosyvoice.flow.decoder.CausalConditionalDecoder
            in_channels: {estimator.in_channels}
            out_channels: {estimator.out_channels}
            channels: [{estimator.channels}]
            dropout: 0.0
            attention_head_dim: {estimator.attention_head_dim}
            n_blocks: {estimator.n_blocks}
            num_mid_blocks: {estimator.num_mid_blocks}
            num_heads: {estimator.num_heads}
            act_fn: 'gelu'
            static_chunk_size: !ref <chunk_size> * <token_mel_ratio>
            num_decoding_left_chunks: !ref <num_decoding_left_chunks>
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: {hift.mel_size}
    base_channels: {hift.base_channels}
    nb_harmonics: {hift.harmonics}
    sampling_rate: !ref <sample_rate>
    nsf_alpha: {hift.sine_amplitude}
    nsf_sigma: {hift.noise_sigma}
    nsf_voiced_threshold: {hift.voiced_threshold:g}
    upsample_rates: {json.dumps(hift.upsample_rates)}
    upsample_kernel_sizes: {json.dumps(hift.upsample_kernels)}
    istft_params:
        n_fft: {hift.n_fft}
        hop_len: {hift.hop}
    resblock_kernel_sizes: {json.dumps(hift.resblock_kernels)}
    resblock_dilation_sizes: {json.dumps(hift.resblock_dilations)}
    source_resblock_kernel_sizes: {json.dumps(hift.source_resblock_kernels)}
    source_resblock_dilation_sizes: {json.dumps(hift.source_resblock_dilations)}
    lrelu_slope: {hift.leaky_slope}
    audio_limit: {hift.audio_limit}
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: {hift.mel_size}
        cond_channels: {hift.f0_channels}
parquet_opener: !name:cosyvoice.dataset.processor.parquet_opener
feat_extractor: !name:matcha.utils.audio.mel_spectrogram
    n_fft: 1920
    num_mels: 80
    sampling_rate: !ref <sample_rate>
    hop_size: 480
    win_size: 1920
    fmin: 0
    fmax: 8000
    center: False
data_pipeline: [
    !ref <parquet_opener>,
]
"""


def main() -> None:
    """Write a checkpoint into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write a small checkpoint with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(build(options.folder, options.seed))


if __name__ == "__main__":
    main()
