"""The configuration files of a checkpoint in the official layout."""

from __future__ import annotations

import json
from typing import Final

from cosyserve.engine.cosyvoice.config import CosyVoice2Config, FlowConfig, HiftConfig, LmConfig


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


def yaml_text(config: CosyVoice2Config) -> str:
    """cosyvoice2.yaml with the entries, tags and references that the published file has."""
    return "".join(
        [_general(config), _llm(config), _flow(config.flow), hift_text(config.hift), FEATURES]
    )


def _general(config: CosyVoice2Config) -> str:
    lm, flow = config.lm, config.flow
    return f"""\
__set_seed1: !apply:random.seed [1986]
sample_rate: 24000
llm_input_size: {lm.hidden_size}
llm_output_size: {lm.hidden_size}
spk_embed_dim: {flow.speaker_size}
qwen_pretrain_path: ''
token_frame_rate: 25
token_mel_ratio: 2
chunk_size: {flow.encoder.chunk_tokens} # in tokens
num_decoding_left_chunks: -1
"""


def _llm(config: CosyVoice2Config) -> str:
    lm, sampling = config.lm, config.sampling
    return f"""\
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
"""


def _flow(flow: FlowConfig) -> str:
    encoder, estimator = flow.encoder, flow.estimator
    return f"""\
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
"""


def hift_text(hift: HiftConfig) -> str:
    """The entry `hift`."""
    return f"""\
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
"""


FEATURES: Final = """\
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
