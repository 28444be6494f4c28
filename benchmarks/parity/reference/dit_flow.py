"""CosyVoice 3's flow in the reference's layout: a whole utterance at once, and its parts.

inference           token [1, N], prompt_token [1, P], prompt_feat [1, F, 80], embedding [1, 192]
                    -> mel [1, 80, T]
look_ahead          token [1, N] -> h [1, N, 80]
velocity            x, mu, t, spks, cond -> the transformer's velocity [B, 80, T]
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN
from cosyserve.engine.cosyvoice.flow import Dit, DitFlow, FlowError
from cosyserve.engine.cosyvoice.flow.attention import chunk_mask
from cosyserve.engine.cosyvoice.flow.dit.network import TAIL, tail_channels
from cosyserve.engine.cosyvoice.flow.solver import GUIDED_ROWS, Condition


@torch.inference_mode()
def inference(
    flow: DitFlow,
    token: Tensor,
    prompt_token: Tensor,
    prompt_feat: Tensor,
    embedding: Tensor,
    *,
    streaming: bool,
    finalize: bool,
) -> Tensor:
    """Float32 mel [1, 80, T] after the prompt's frames.

    finalize: the input ends here; else its last tokens serve as look-ahead only.
    streaming: the chunk mask that DitFlow.step keeps to; else full attention, as the reference ends.
    Raises FlowError for more frames than there is noise.
    """
    h = look_ahead(flow, torch.cat((prompt_token, token), dim=1), finalize=finalize)
    mu = h.repeat_interleave(FRAMES_PER_TOKEN, dim=1).transpose(1, 2)
    frames, given = mu.shape[2], prompt_feat.shape[1]
    if frames > flow.noise.shape[2]:
        raise FlowError(f"at most {flow.noise.shape[2]} mel frames, prompt included")
    prompt = torch.zeros_like(mu)
    prompt[:, :, :given] = prompt_feat.transpose(1, 2)[:, :, :frames]
    size = flow.config.steps, GUIDED_ROWS, TAIL, tail_channels(flow.config.dit)
    mel, _ = flow.solver.solve(
        flow.networks.dit,
        flow.networks.modulations,
        flow.noise[:, :, :frames],
        Condition(mu, flow.speaker(embedding), prompt),
        torch.zeros(1, dtype=torch.int64, device=mu.device),
        mu.new_zeros(size),
        None,
        streaming=streaming,
    )
    return mel[:, :, given:]


@torch.inference_mode()
def look_ahead(flow: DitFlow, token: Tensor, *, finalize: bool) -> Tensor:
    """Tokens [1, N] -> [1, M, mel]; M = N, or N - look_ahead without finalize."""
    embedded = flow.input_embedding(token.long().clamp(min=0))
    if finalize:
        embedded = F.pad(embedded, (0, 0, 0, flow.config.look_ahead))
    tail = embedded.new_zeros(1, flow.config.look_ahead_channels, 2)
    mixed: Tensor = flow.pre_lookahead_layer(embedded, tail)[0]
    return mixed


@torch.inference_mode()
def velocity(
    dit: Dit, x: Tensor, mu: Tensor, t: Tensor, spks: Tensor, cond: Tensor, *, streaming: bool
) -> Tensor:
    """x, mu, cond [B, 80, T], t [B], spks [B, 80] -> velocity [B, 80, T].

    streaming: the chunk mask, else full attention.
    """
    batch, _, frames = x.shape
    mask = chunk_mask(frames, dit.config.chunk_frames, x.device) if streaming else None
    inputs = torch.cat((x, cond, mu, spks[:, :, None].expand(-1, -1, frames)), dim=1)
    first = torch.zeros(batch, dtype=torch.int64, device=x.device)
    angles = dit.rotary_embed.angles(first, frames)
    before = x.new_zeros(batch, TAIL, tail_channels(dit.config))
    made, _ = dit.advance(inputs.transpose(1, 2), dit.modulate(t), angles, before, mask, None)
    return made.transpose(1, 2)
