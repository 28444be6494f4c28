"""The flow: speech tokens to mel, step by step.

    prepare_prompt      once per voice
    start               once per utterance
    step                the next tokens of several utterances -> their new mel frames

Whatever the steps' lengths, the mel is that of the whole utterance under the chunk mask.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FRAMES_PER_TOKEN, FlowConfig, FlowSizes
from .cache import CacheShape, MemoryPool
from .encoder import Encoder
from .estimator import TAIL, Estimator, blocks_of, tail_channels
from .graphs import GraphCache
from .solver import GUIDED_ROWS, Solver, start_noise
from .state import (
    EXACT,
    ContextPolicy,
    FlowMemory,
    FlowPrompt,
    FlowShapes,
    FlowState,
    FlowTails,
    Pages,
)
from .step import Networks, Pass, plan_step, run_pass


class FlowError(Exception):
    """The input cannot be spoken, or the result is not a finite mel. The states of the step are lost."""


@dataclass(slots=True)
class FlowStats:
    """Counts since the model was built. fp32_redos: passes that half precision could not do."""

    passes: int = 0
    fp32_redos: int = 0


class PassNetworks(Protocol):
    """The networks of a pass, in one precision."""

    @property
    def dtype(self) -> torch.dtype: ...

    def to(self, dtype: torch.dtype) -> Self:
        """A copy in another precision."""
        ...


N = TypeVar("N", bound=PassNetworks)


class TokenFlow(nn.Module, Generic[N]):
    """What the flows of both families do alike: steps, prompts, precision. N: the family's networks.

    Weights and hyper-parameters only; what a session keeps is in its FlowState.

    pool: memory that ended sessions left for the next ones.

    Calls from several threads at once are not safe: one thread owns the device.
    """

    replays_graphs: ClassVar[bool] = False
    noise: Tensor

    def __init__(self, config: FlowSizes, token_size: int) -> None:
        """token_size: of an embedded token."""
        super().__init__()
        self.config = config
        self.stats = FlowStats()
        self.pool = MemoryPool()
        self.input_embedding = nn.Embedding(config.vocab_size, token_size)
        self.spk_embed_affine_layer = nn.Linear(config.speaker_size, config.mel_size)
        self.register_buffer("noise", start_noise(config.mel_size), persistent=False)
        self._half: N | None = None
        self.graphs: GraphCache | None = None

    # -- precision ------------------------------------------------------------------------------

    def use_precision(self, dtype: torch.dtype) -> None:
        """Run prepare_prompt and step in float32, bfloat16 or float16; keep one for all states.

        In half precision the caches are half as big. A pass whose mel is not finite is done again in
        float32 and counted in `stats`. Call it after the weights are loaded and on their device.
        """
        self._half = None
        self.use_graphs(None)
        if dtype != torch.float32:
            self._half = self.networks.to(dtype)

    def use_graphs(self, graphs: GraphCache | None) -> None:
        """Let `step` replay recorded graphs for its Euler steps where it can; None stops that.

        Call it after use_precision, with a cache that nobody else uses.
        """
        self.graphs = graphs

    @property
    @abstractmethod
    def networks(self) -> N:
        """In float32, the weights as loaded."""

    @property
    def cache_dtype(self) -> torch.dtype:
        return (self._half or self.networks).dtype

    @property
    def tail_bytes(self) -> int:
        """Bytes that every utterance keeps, whatever its length."""
        return self._empty_tails().nbytes

    @property
    @abstractmethod
    def shapes(self) -> FlowShapes:
        """Of the caches of an utterance."""

    @abstractmethod
    def _empty_tails(self) -> FlowTails:
        """At the beginning of an input."""

    @abstractmethod
    def _run(
        self,
        networks: N,
        states: Sequence[FlowState],
        piece: Pass,
        pages: Sequence[Pages | None],
    ) -> tuple[Tensor, list[FlowTails]]:
        """A pass: the mel [S, mel, 2 tokens] in float32, and each state's tails after it."""

    # -- incremental ----------------------------------------------------------------------------

    @torch.inference_mode()
    def speaker(self, embedding: Tensor) -> Tensor:
        """Speaker embedding [B, 192], any length of vector -> [B, mel]."""
        spks: Tensor = self.spk_embed_affine_layer(F.normalize(embedding, dim=1))
        return spks

    @torch.inference_mode()
    def prepare_prompt(
        self, prompt_token: Tensor, prompt_feat: Tensor, embedding: Tensor
    ) -> FlowPrompt:
        """prompt_token [1, P], prompt_feat [1, F, mel], embedding [1, 192]; F is 2 P where the voice was
        prepared here, but may be anything; P and F may be 0.

        Computes the chunks that are whole and all of whose frames are given. The remainder is done by each
        utterance's first step: what of it is beyond F, it has to give out.

        Raises:
            FlowError: a token is not in the vocabulary, or the prompt is too long.
        """
        device = self.noise.device
        mel = prompt_feat.to(device)[0].t().contiguous()
        speaker = self.speaker(embedding.to(device))[0]
        none = torch.zeros(0, dtype=torch.int64)
        memory = FlowMemory.empty(self.shapes, self._empty_tails())
        prompt = FlowPrompt(memory, speaker, mel, none)
        tokens, ahead = prompt_token.reshape(-1), self.config.look_ahead
        given = min(tokens.numel() - ahead, mel.shape[1] // FRAMES_PER_TOKEN)
        chunk = self.config.chunk_tokens
        whole = max(0, given) // chunk * chunk
        policy = ContextPolicy(room=whole * FRAMES_PER_TOKEN)
        state = FlowState(prompt, policy, memory.copy(policy), none, mel.shape[1])
        self.step([state], [tokens[: whole + ahead]], [False])
        self._receive(state, tokens[whole + ahead :])
        for cache in state.memory.caches:
            cache.seal()
        return FlowPrompt(state.memory, speaker, mel, state.tokens)

    def start(self, prompt: FlowPrompt, policy: ContextPolicy = EXACT) -> FlowState:
        """The beginning of an utterance; costs nothing."""
        memory = prompt.memory.copy(policy)
        return FlowState(prompt, policy, memory, prompt.remainder, prompt.mel.shape[1])

    @torch.inference_mode()
    def step(
        self,
        states: Sequence[FlowState],
        tokens: Sequence[Tensor],
        final: Sequence[bool],
        early: Sequence[bool] | None = None,
    ) -> list[Tensor]:
        """Add tokens [n] (n may be 0) to each utterance; returns its new mel frames [mel, m], float32.

        Frames come out when their chunk, on the grid that begins at the first prompt token, and look_ahead
        tokens after it are there, or at the end. early: also give out what the tokens so far allow of
        an unfinished chunk, treating its end as the end of what can be seen (what the reference does with a
        prefix that ends there). Those frames differ a little from the exact ones; later frames do not:
        they are computed from a memory that the early ones did not touch.

        The states are changed in place; after final they are finished and hold no memory. All are computed in
        one batch as far as their chunks allow.

        Raises:
            FlowError: a token is not in the vocabulary, the utterance is too long, or the mel is not
                finite. The states must be dropped.
        """
        for state, new in zip(states, tokens, strict=True):
            self._receive(state, new)
        pieces: list[list[Tensor]] = [[] for _ in states]
        early = early or [False] * len(states)
        for piece in plan_step(states, final, early, self.config):
            mels = self._advance([states[i] for i in piece.states], piece)
            for i, mel in zip(piece.states, mels, strict=True):
                pieces[i].append(_emit(states[i], mel, piece))
        for state, last in zip(states, final, strict=True):
            if last:
                state.release()
        empty = self.noise.new_zeros(self.config.mel_size, 0)
        return [torch.cat([empty, *parts], dim=1) for parts in pieces]

    def _receive(self, state: FlowState, new: Tensor) -> None:
        if state.finished:
            raise ValueError("the utterance is finished")
        new = new.detach().to("cpu", torch.int64).clamp(min=0)
        if new.numel() and int(new.max()) >= self.config.vocab_size:
            raise FlowError("a speech token is not in the vocabulary")
        total = state.memory.position + state.available + new.numel()
        self._require_noise(total * FRAMES_PER_TOKEN)
        state.tokens = torch.cat((state.tokens, new))

    def _require_noise(self, frames: int) -> None:
        limit = self.noise.shape[2]
        if frames > limit:
            raise FlowError(f"at most {limit} mel frames, prompt included")

    def _advance(self, states: Sequence[FlowState], piece: Pass) -> Tensor:
        """One pass over the next piece.tokens tokens of each state -> mel [S, mel, n]."""
        self.stats.passes += 1
        networks = self._half or self.networks
        pages: list[Pages | None] = [None] * len(states)
        if piece.keep:
            empty = partial(self.pool.empty, dtype=self.cache_dtype, device=self.noise.device)
            pages = [state.memory.new_pages(piece.tokens, empty) for state in states]
        mel, tails = self._run(networks, states, piece, pages)
        if not bool(mel.isfinite().all()):
            if self._half is None:
                raise FlowError("the mel is not finite")
            self.stats.fp32_redos += 1
            mel, tails = self._run(self.networks, states, piece, pages)
            if not bool(mel.isfinite().all()):
                raise FlowError("the mel is not finite")
        for state, page, tail in zip(states, pages, tails, strict=True):
            if page is not None:
                state.memory.commit(page, tail, piece.tokens)
                state.tokens = state.tokens[piece.tokens :].clone()
        return mel


def _emit(state: FlowState, mel: Tensor, piece: Pass) -> Tensor:
    """The frames of a pass's mel that were not given out before."""
    end = state.memory.position * FRAMES_PER_TOKEN
    if not piece.keep:
        end += mel.shape[1]
    new = max(0, end - state.emitted)
    state.emitted += new
    return mel[:, mel.shape[1] - new :]


class FlowDecoder(nn.Module):
    """Holds the estimator under the checkpoint's name."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.estimator = Estimator(config.estimator)


class Flow(TokenFlow[Networks]):
    """CosyVoice 2's."""

    replays_graphs = True
    config: FlowConfig

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config, config.input_size)
        self.encoder = Encoder(config.encoder, config.look_ahead)
        self.encoder_proj = nn.Linear(config.encoder.size, config.mel_size)
        self.decoder = FlowDecoder(config)
        self._solver = Solver(config.steps, config.cfg_rate)

    @property
    def networks(self) -> Networks:
        return Networks(
            self.input_embedding, self.encoder, self.encoder_proj, self.decoder.estimator
        )

    @property
    def shapes(self) -> FlowShapes:
        encoder, estimator = self.config.encoder, self.config.estimator
        heads, width = encoder.attention_heads, encoder.size // encoder.attention_heads
        layers = self.config.steps * blocks_of(estimator)
        inner = estimator.num_heads, estimator.attention_head_dim
        return FlowShapes(
            CacheShape(encoder.num_blocks, 1, heads, width),
            CacheShape(encoder.num_up_blocks, 1, heads, width),
            CacheShape(layers, GUIDED_ROWS, *inner),
        )

    def _run(
        self,
        networks: Networks,
        states: Sequence[FlowState],
        piece: Pass,
        pages: Sequence[Pages | None],
    ) -> tuple[Tensor, list[FlowTails]]:
        # A pass that is done again in float32 has another estimator than the graphs.
        usual = networks.estimator is (self._half or self.networks).estimator
        graphs = self.graphs if usual else None
        return run_pass(networks, self._solver, self.noise, states, piece.tokens, pages, graphs)

    def _empty_tails(self) -> FlowTails:
        estimator = self.config.estimator
        like = self.noise.new_zeros(0, dtype=self.cache_dtype)
        size = (self.config.steps, GUIDED_ROWS, TAIL, tail_channels(estimator))
        return FlowTails(self.encoder.empty_tails(like, rows=1), like.new_zeros(size))
