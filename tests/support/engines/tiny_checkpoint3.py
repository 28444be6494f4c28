"""A whole checkpoint directory of CosyVoice 3 in the official layout, with small random weights.

`python -m support.engines.tiny_checkpoint3 FOLDER` (from tests/) writes one to try a server with.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS
from cosyserve.engine.cosyvoice.config import (
    CausalHiftConfig,
    CosyVoice3Config,
    CosyVoice3LmConfig,
    DitConfig,
    DitFlowConfig,
)
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from cosyserve.training.checkpoint import official
from support.engines import tiny_checkpoint
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer
from support.engines.tiny_tokenizer import write_tokenizer

TINY: Final = CosyVoice3Config(
    lm=CosyVoice3LmConfig(
        vocab_size=704,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        speech_token_size=216,
    ),
    flow=DitFlowConfig(
        vocab_size=216,
        look_ahead_channels=32,
        dit=DitConfig(dim=32, depth=2, heads=2, head_dim=16),
    ),
    hift=CausalHiftConfig(base_channels=32, f0_channels=16),
)


def build(folder: Path, seed: int = 0, config: CosyVoice3Config = TINY) -> Path:
    """Write every file into the folder, made if need be; the same seed gives the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cosyvoice3.yaml").write_text(yaml_text(config))
    for part in PARTS:
        torch.save(weights(part, seed, config), folder / f"{part}.pt")
    torch.save(weights("llm", seed + 1, config), folder / "llm.rl.pt")
    write_speech_tokenizer(folder / "speech_tokenizer_v3.onnx", tokens=config.lm.speech_token_size)
    write_speaker_encoder(folder / "campplus.onnx", size=config.flow.speaker_size)
    qwen = folder / "CosyVoice-BlankEN"
    qwen.mkdir(exist_ok=True)
    (qwen / "config.json").write_text(json.dumps(official.qwen_json(config.lm), indent=2))
    write_tokenizer(qwen)
    return folder


def weights(part: str, seed: int = 0, config: CosyVoice3Config = TINY) -> dict[str, Tensor]:
    """The state dictionary of `llm`, `flow` or `hift`, under the official keys."""
    state = tiny_checkpoint.drawn(part, seed, config)
    if part == "llm":
        _let_speech_end(state, config.lm)
        state[TIED_HEAD] = state[TEXT_EMBEDDING]
    if part == "flow":
        size = config.flow.dit.head_dim
        exponents = torch.arange(0, size, 2, dtype=torch.float32) / size
        state["decoder.estimator.rotary_embed.inv_freq"] = 10000.0**-exponents
    return state


def _let_speech_end(state: dict[str, Tensor], config: CosyVoice3LmConfig) -> None:
    """The head has no bias: the hidden state's first element is a constant, and stands for one."""
    for key, tensor in state.items():
        if key.endswith(("embed_tokens.weight", "speech_embedding.weight")):
            tensor[:, 0] = 3.0
        if key.endswith(("o_proj.weight", "down_proj.weight")):
            tensor[0] = 0.0
    ids, head = IdSpace.of(config), state["llm_decoder.weight"]
    head[:, 0] = 0.0
    head[ids.speech_size :] = 0.0
    head[ids.speech_size :, 0] = -8.0
    head[ids.eos, 0] = 1.0


def yaml_text(config: CosyVoice3Config = TINY) -> str:
    """cosyvoice3.yaml with the entries, tags and references that the published file has."""
    return _general(config) + _flow(config.flow) + _hift(config.hift) + _FEATURES


def _general(config: CosyVoice3Config) -> str:
    lm, sampling = config.lm, config.sampling
    return f"""\
__set_seed1: !apply:random.seed [1986]
sample_rate: 24000
llm_input_size: {lm.hidden_size}
llm_output_size: {lm.hidden_size}
spk_embed_dim: {config.flow.speaker_size}
qwen_pretrain_path: ''
token_frame_rate: 25
token_mel_ratio: 2
chunk_size: {config.flow.chunk_tokens}
num_decoding_left_chunks: -1
llm: !new:cosyvoice.llm.llm.CosyVoice3LM
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


def _flow(flow: DitFlowConfig) -> str:
    dit = flow.dit
    return f"""\
flow: !new:cosyvoice.flow.flow.CausalMaskedDiffWithDiT
    input_size: {flow.mel_size}
    output_size: {flow.mel_size}
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {flow.vocab_size}
    input_frame_rate: !ref <token_frame_rate>
    only_mask_loss: True
    token_mel_ratio: !ref <token_mel_ratio>
    pre_lookahead_len: {flow.look_ahead}
    pre_lookahead_layer: !new:cosyvoice.transformer.upsample_encoder.PreLookaheadLayer
        in_channels: {flow.mel_size}
        channels: {flow.look_ahead_channels}
        pre_lookahead_len: {flow.look_ahead}
    decoder: !new:cosyvoice.flow.flow_matching.CausalConditionalCFM
        in_channels: {3 * flow.mel_size}
        n_spks: 1
        spk_emb_dim: {flow.mel_size}
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                training_cfg_rate: 0.2
                inference_cfg_rate: {flow.cfg_rate}
                reg_loss_type: 'l1'
        estimator: !new:cosyvoice.flow.DiT.dit.DiT
            dim: {dit.dim}
            depth: {dit.depth}
            heads: {dit.heads}
            dim_head: {dit.head_dim}
            ff_mult: {dit.ff_mult}
            mel_dim: {flow.mel_size}
            mu_dim: {flow.mel_size}
            spk_dim: {flow.mel_size}
            out_channels: {flow.mel_size}
            static_chunk_size: !ref <chunk_size> * <token_mel_ratio>
            num_decoding_left_chunks: !ref <num_decoding_left_chunks>
"""


def _hift(hift: CausalHiftConfig) -> str:
    generator, predictor = "CausalHiFTGenerator", "CausalConvRNNF0Predictor"
    text = official.hift_text(hift).replace(".HiFTGenerator", f".{generator}")
    text = text.replace(".ConvRNNF0Predictor", f".{predictor}")
    return text.replace(
        "    f0_predictor:", f"    conv_pre_look_right: {hift.look_right}\n    f0_predictor:"
    )


_FEATURES: Final = official.FEATURES.replace("fmax: 8000", "fmax: null")


def main() -> None:
    """Write a checkpoint into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write a small checkpoint with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(build(options.folder, options.seed))


if __name__ == "__main__":
    main()
