"""The flow in the reference's layout: a whole utterance at once, and its parts.

Case.of(arrays)     the inputs of an utterance
inference           token [1, N], prompt_token [1, P], prompt_feat [1, F, 80], embedding [1, 192]
                    -> mel [1, 80, T]
encode              token [1, N] -> h [1, 2N, size] and mu [1, 2N, 80]
velocity            x, mask, mu, t, spks, cond -> the estimator's velocity [B, 80, T]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.flow import DitFlow, Flow, FlowError, TokenFlow
from cosyserve.engine.cosyvoice.flow.attention import chunk_mask
from cosyserve.engine.cosyvoice.flow.estimator import ConvTails, Estimator
from cosyserve.engine.cosyvoice.flow.solver import Condition, Solver
from cosyserve.engine.cosyvoice.flow.state import FlowState

from . import dit_flow


@dataclass(frozen=True)
class Case:
    """token [1, N], prompt_token [1, P], prompt_feat [1, F, mel], embedding [1, speaker size]."""

    token: Tensor
    prompt_token: Tensor
    prompt_feat: Tensor
    embedding: Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, Tensor]) -> Self:
        """Of the arrays of these names. Raises KeyError."""
        keys = ("token", "prompt_token", "prompt_feat", "embedding")
        return cls(*(arrays[key] for key in keys))

    @property
    def voice(self) -> tuple[Tensor, Tensor, Tensor]:
        """What Flow.prepare_prompt takes."""
        return self.prompt_token, self.prompt_feat, self.embedding

    def prefix(
        self, flow: TokenFlow[Any], tokens: int, *, streaming: bool, finalize: bool
    ) -> Tensor:
        """The mel [1, mel, T] of the first `tokens` tokens at once; see `inference`."""
        first = self.token[:, :tokens]
        if isinstance(flow, DitFlow):
            return dit_flow.inference(
                flow, first, *self.voice, streaming=streaming, finalize=finalize
            )
        assert isinstance(flow, Flow)
        return inference(flow, first, *self.voice, streaming=streaming, finalize=finalize)

    def whole(self, flow: TokenFlow[Any], *, streaming: bool = True) -> Tensor:
        """The mel [mel, T] of all tokens at once."""
        return self.prefix(flow, self.token.shape[1], streaming=streaming, finalize=True)[0]


def speak(
    flow: TokenFlow[Any], state: FlowState, tokens: Tensor, hops: Sequence[int]
) -> list[Tensor]:
    """The mel [mel, m] of each step over tokens [N]; the last hop takes all that is left and is final."""
    mels, at = [], 0
    for number, hop in enumerate(hops):
        last = number == len(hops) - 1
        end = tokens.shape[0] if last else at + hop
        mels += flow.step([state], [tokens[at:end]], [last])
        at = end
    return mels


@torch.inference_mode()
def inference(
    flow: Flow,
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
    streaming: the chunk mask that Flow.step keeps to; else full attention, as the reference's last call has.
    Raises FlowError for more frames than there is noise.
    """
    tokens = torch.cat((prompt_token, token), dim=1)
    _, mu = encode(flow, tokens, streaming=streaming, finalize=finalize)
    mu = mu.transpose(1, 2)
    frames, given = mu.shape[2], prompt_feat.shape[1]
    if frames > flow.noise.shape[2]:
        raise FlowError(f"at most {flow.noise.shape[2]} mel frames, prompt included")
    prompt = torch.zeros_like(mu)
    prompt[:, :, :given] = prompt_feat.transpose(1, 2)[:, :, :frames]
    condition = Condition(mu, flow.speaker(embedding), prompt)
    solver = Solver(flow.config.steps, flow.config.cfg_rate)
    noise = flow.noise[:, :, :frames]
    mel, _ = solver.solve(flow.decoder.estimator, noise, condition, streaming=streaming)
    return mel[:, :, given:]


@torch.inference_mode()
def encode(flow: Flow, token: Tensor, *, streaming: bool, finalize: bool) -> tuple[Tensor, Tensor]:
    """Tokens [1, N] -> h [1, 2M, size] and mu [1, 2M, mel]; M = N, or N - look_ahead without finalize.

    Raises ValueError for too few tokens.
    """
    ahead = flow.config.look_ahead
    if not finalize and token.shape[1] <= ahead:
        raise ValueError(f"more than {ahead} tokens are needed")
    embedded = flow.input_embedding(token.long().clamp(min=0))
    after = ahead if finalize else 0
    tails = flow.encoder.empty_tails(embedded)
    h, _ = flow.encoder.advance(embedded, after, tails, None, streaming=streaming)
    return h, flow.encoder_proj(h)


def velocity(
    estimator: Estimator,
    x: Tensor,
    mask: Tensor,
    mu: Tensor,
    t: Tensor,
    spks: Tensor,
    cond: Tensor,
    *,
    streaming: bool,
) -> Tensor:
    """x, mu, cond [B, 80, T], mask [B, 1, T], t [B], spks [B, 80] -> velocity [B, 80, T].

    streaming: the chunk mask, else full attention. Raises ValueError for a mask that hides a frame: an
    utterance is never padded here.
    """
    if not bool(mask.all()):
        raise ValueError("padded frames are not supported")
    frames = x.shape[2]
    seen = chunk_mask(frames, estimator.config.chunk_frames, x.device) if streaming else None
    inputs = torch.cat((x, mu, spks[:, :, None].expand(-1, -1, frames), cond), dim=1)
    time = estimator.time_mlp(t)
    made = estimator.advance(inputs.transpose(1, 2), time, ConvTails(None), seen, None)
    return made.transpose(1, 2)
