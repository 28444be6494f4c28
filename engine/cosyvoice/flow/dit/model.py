"""CosyVoice 3's flow. Its entries are those of TokenFlow.

An utterance keeps keys and values of each block, Euler step and row of the guidance, and the last inputs of
three convolutions. Of FlowMemory it uses the estimator's cache; the encoder's two have no layers here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...config import FRAMES_PER_TOKEN, DitFlowConfig
from ..cache import CacheShape, Workspace
from ..encoder import EncoderTails, LookAhead
from ..model import TokenFlow
from ..solver import GUIDED_ROWS
from ..state import FlowShapes, FlowState, FlowTails, Pages
from ..step import Pass, columns_of, condition_of, inputs_of, split_tails
from .network import TAIL, Dit, tail_channels
from .solver import DitSolver

_NO_LAYERS = CacheShape(layers=0, batch=1, heads=1, head_dim=1)


@dataclass(slots=True)
class DitNetworks:
    """The networks of a pass, in one precision.

    embedding: always in float32. exact: `dit` in float32. times: of the Euler steps.
    """

    embedding: nn.Embedding
    look_ahead: LookAhead
    dit: Dit
    exact: Dit
    times: Tensor
    _modulations: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.dit.proj_out.weight.dtype

    @property
    def modulations(self) -> Tensor:
        """What the times make of the transformer, [steps, ...]. Four tenths of its weights are read for it,
        and not again."""
        if self._modulations is None:
            device = self.dit.proj_out.weight.device
            self._modulations = self.exact.modulate(self.times.to(device)).to(self.dtype)
        return self._modulations

    def to(self, dtype: torch.dtype) -> DitNetworks:
        """A copy in another precision, but for positions and times, which are computed in float32."""
        dit = copy.deepcopy(self.dit).to(dtype)
        dit.rotary_embed = self.dit.rotary_embed
        look_ahead = copy.deepcopy(self.look_ahead).to(dtype)
        return replace(self, look_ahead=look_ahead, dit=dit, _modulations=None)


class DitDecoder(nn.Module):
    """Holds the transformer under the checkpoint's name."""

    def __init__(self, config: DitFlowConfig) -> None:
        super().__init__()
        self.estimator = Dit(config.dit, config.mel_size)


class DitFlow(TokenFlow[DitNetworks]):
    """CosyVoice 3's. It replays no graphs."""

    config: DitFlowConfig

    def __init__(self, config: DitFlowConfig) -> None:
        super().__init__(config, config.mel_size)
        size, inner = config.mel_size, config.look_ahead_channels
        self.pre_lookahead_layer = LookAhead(size, config.look_ahead, inner)
        self.decoder = DitDecoder(config)
        self.solver = DitSolver(config.steps, config.cfg_rate)
        self._networks: DitNetworks | None = None
        self.register_load_state_dict_post_hook(_forget_networks)  # type: ignore[no-untyped-call]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._networks = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    @property
    def networks(self) -> DitNetworks:
        if self._networks is None:
            dit = self.decoder.estimator
            layers = self.input_embedding, self.pre_lookahead_layer
            self._networks = DitNetworks(*layers, dit, dit, self.solver.times)
        return self._networks

    @property
    def shapes(self) -> FlowShapes:
        dit = self.config.dit
        layers = self.config.steps * dit.depth
        estimator = CacheShape(layers, GUIDED_ROWS, dit.heads, dit.head_dim)
        return FlowShapes(_NO_LAYERS, _NO_LAYERS, estimator)

    def _run(
        self,
        networks: DitNetworks,
        states: Sequence[FlowState],
        piece: Pass,
        pages: Sequence[Pages | None],
    ) -> tuple[Tensor, list[FlowTails]]:
        dtype, chunk = networks.dtype, self.config.chunk_tokens
        workspace = Workspace()
        caches = [
            state.memory.open(page, workspace, chunk)[-1]
            for state, page in zip(states, pages, strict=True)
        ]
        tails = [state.memory.tails for state in states]
        begins = [FRAMES_PER_TOKEN * state.memory.position for state in states]
        mu, look_ahead = self._mu(networks, states, piece.tokens)
        mel, after = self.solver.solve(
            networks.dit,
            networks.modulations,
            columns_of(self.noise, states, FRAMES_PER_TOKEN * piece.tokens),
            condition_of(states, mu),
            torch.tensor(begins, device=self.noise.device),
            torch.cat([tail.estimator for tail in tails], dim=1).to(dtype),
            caches,
        )
        encoder = EncoderTails(look_ahead, self._no_upsampling(mu, len(states)))
        return mel, split_tails(FlowTails(encoder, after), len(states))

    def _mu(
        self, networks: DitNetworks, states: Sequence[FlowState], tokens: int
    ) -> tuple[Tensor, Tensor]:
        """The look-ahead layer: mu [S, mel, 2 tokens], and its tails."""
        ids, after = inputs_of(states, tokens + self.config.look_ahead)
        ends = torch.tensor([ids.shape[1] - count for count in after])
        inside = torch.arange(ids.shape[1]) < ends[:, None]
        device = self.noise.device
        embedded = networks.embedding(ids.to(device)) * inside.to(device)[..., None]
        before = torch.cat([state.memory.tails.encoder.look_ahead for state in states])
        mixed, left = networks.look_ahead(embedded.to(networks.dtype), before.to(networks.dtype))
        return mixed.repeat_interleave(FRAMES_PER_TOKEN, dim=1).transpose(1, 2), left

    def _empty_tails(self) -> FlowTails:
        like = self.noise.new_zeros(0, dtype=self.cache_dtype)
        look_ahead = like.new_zeros(1, self.config.look_ahead_channels, 2)
        encoder = EncoderTails(look_ahead, self._no_upsampling(like, 1))
        size = self.config.steps, GUIDED_ROWS, TAIL, tail_channels(self.config.dit)
        return FlowTails(encoder, like.new_zeros(size))

    @staticmethod
    def _no_upsampling(like: Tensor, rows: int) -> Tensor:
        """Each token is repeated, which needs no memory."""
        return like.new_zeros(rows, 0, 0)


def _forget_networks(module: nn.Module, _: object) -> None:
    assert isinstance(module, DitFlow)
    module._networks = None
