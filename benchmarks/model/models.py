"""Models of random weights, and two ways to turn speech tokens to sound with them.

A model of random weights takes the time and memory of a trained one. Each matrix keeps the
variance of its input, gains are 1 and biases 0, so that activations stay within bounds at any depth.

Both ways give the same mel in chunks of a second. Incremental, as the server: the work of a chunk is
that chunk's. Recomputed, as the reference: each chunk computes the mel of all speech so far, prompt
included, and uses its last second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from cosyserve.engine.cosyvoice.config import (
    FRAMES_PER_TOKEN,
    TOKEN_RATE,
    CausalHiftConfig,
    CosyVoice2Config,
    CosyVoice3Config,
    CosyVoice3LmConfig,
    DitConfig,
    DitFlowConfig,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    FlowSizes,
    HiftConfig,
    LmConfig,
    ModelConfig,
)
from cosyserve.engine.cosyvoice.families import family_of
from cosyserve.engine.cosyvoice.flow import EXACT, ContextPolicy, FlowPrompt, TokenFlow
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.vocoder import CausalHift, Hift, StreamingVocoder

from ..parity.reference import causal_vocoder
from ..parity.reference.flow import Case
from ..parity.reference.vocoder import ReferenceChain

HOP: Final = TOKEN_RATE
"""Tokens per chunk."""
_FRAMES: Final = HOP * FRAMES_PER_TOKEN
_PITCH: Final = 150.0
"""Hz, about which the random voice speaks: the source is voiced, as most of speech is."""
_QUIET: Final = 0.1
"""Gain of the vocoder's last layer, which is read as logarithms."""

_NEVER: Final = -1000.0
"""Bias of an id that must not be drawn."""
_SEED: Final = 1
"""Of all weights."""

ClockKind = Literal["wall", "cpu"]
T = TypeVar("T")
Model = TypeVar("Model", bound=nn.Module)
StreamModels = tuple[TokenFlow[Any], StreamingVocoder]


def tiny_config() -> CosyVoice2Config:
    """The published model's structure with small widths."""
    encoder = EncoderConfig(
        size=64, attention_heads=2, linear_units=128, num_blocks=2, num_up_blocks=1
    )
    estimator = EstimatorConfig(
        channels=32, attention_head_dim=16, num_heads=2, n_blocks=1, num_mid_blocks=2
    )
    lm = LmConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        speech_token_size=200,
    )
    flow = FlowConfig(vocab_size=200, encoder=encoder, estimator=estimator)
    return replace(
        CosyVoice2Config(), lm=lm, flow=flow, hift=HiftConfig(base_channels=64, f0_channels=64)
    )


def tiny_config3() -> CosyVoice3Config:
    """The same of CosyVoice 3."""
    sizes = tiny_config().lm
    lm = CosyVoice3LmConfig(**{each.name: getattr(sizes, each.name) for each in fields(sizes)})
    dit = DitConfig(dim=64, depth=2, heads=4, head_dim=16)
    flow = DitFlowConfig(vocab_size=200, look_ahead_channels=64, dit=dit)
    return CosyVoice3Config(lm, flow, CausalHiftConfig(base_channels=64, f0_channels=64))


def random_flow(config: ModelConfig, device: torch.device) -> TokenFlow[Any]:
    """Steps in float32 until use_precision is called."""
    return cast(TokenFlow[Any], _random_part(config, "flow", device))


def random_hift(config: ModelConfig, device: torch.device) -> Hift | CausalHift:
    hift = cast(Hift | CausalHift, _random_part(config, "hift", device))
    hift.conv_post.weight.mul_(_QUIET)
    hift.f0_predictor.classifier.bias.fill_(_PITCH)
    return hift


def random_decoder(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> LmDecoder:
    """The speech LM."""
    return LmDecoder(_random(lambda: Qwen2Lm(config.lm), device).to(dtype))


def random_lm_weights(config: CosyVoice2Config, device: torch.device) -> dict[str, Tensor]:
    """The speech LM's state dictionary. It never draws a stop id by itself."""
    state = dict(_random(lambda: Qwen2Lm(config.lm), device).state_dict())
    state["llm_decoder.bias"][config.lm.speech_token_size :] = _NEVER
    return state


def _random_part(config: ModelConfig, part: str, device: torch.device) -> nn.Module:
    return _random(lambda: family_of(config).network(config, part), device)


def _random(build: Callable[[], Model], device: torch.device) -> Model:
    with torch.device("meta"):
        model = build()
    random = torch.Generator(device).manual_seed(_SEED)
    state = {name: _weight(name, like, random) for name, like in model.state_dict().items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.to(device).requires_grad_(False).eval()


def _weight(name: str, like: Tensor, random: torch.Generator) -> Tensor:
    device = random.device
    if name.endswith("inv_freq"):
        return 10000.0 ** -(torch.arange(len(like), device=device) / len(like))
    if not name.endswith(("weight", "pos_bias_u", "pos_bias_v")):
        return torch.full(like.shape, 1.0 if name.endswith("alpha") else 0.0, device=device)
    if like.dim() == 1:
        return torch.ones(like.shape, device=device)
    spread = 1.0 / math.sqrt(like[0].numel())
    return torch.randn(like.shape, device=device, generator=random).mul_(spread)


@dataclass(frozen=True, slots=True)
class RandomVoice:
    """A random voice and the tokens of its speech, in the reference's layout: token [1, N], prompt_feat
    [1, F, mel]."""

    token: Tensor
    prompt_token: Tensor
    prompt_feat: Tensor
    embedding: Tensor

    @property
    def prompt(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.prompt_token, self.prompt_feat, self.embedding


def random_voice(config: FlowSizes, tokens: int, prompt: int, device: torch.device) -> RandomVoice:
    random = torch.Generator().manual_seed(2)
    mel = prompt * FRAMES_PER_TOKEN, config.mel_size
    return RandomVoice(
        torch.randint(0, config.vocab_size, (1, tokens), generator=random).to(device),
        torch.randint(0, config.vocab_size, (1, prompt), generator=random).to(device),
        torch.randn(1, *mel, generator=random).to(device),
        torch.randn(1, config.speaker_size, generator=random).to(device),
    )


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds. cpu: of this process, all threads together."""

    wall: float
    cpu: float

    def by(self, kind: ClockKind) -> float:
        return self.wall if kind == "wall" else self.cpu


def timed(device: torch.device, work: Callable[[], T]) -> tuple[T, Took]:
    """The result of the work, and its time with everything that it left to the device."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    _wait(device)
    return result, Took(time.perf_counter() - wall, time.process_time() - cpu)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, slots=True)
class ChunkCost:
    """One chunk's cost, its new mel [mel, frames], and the bytes of context held after it."""

    flow: Took
    vocoder: Took
    mel: Tensor
    nbytes: int = 0


class Incremental:
    """The server's path. Chunk k needs the tokens of the first k seconds and the look-ahead."""

    def __init__(
        self,
        models: StreamModels,
        voice: RandomVoice,
        prompt: FlowPrompt,
        policy: ContextPolicy = EXACT,
    ) -> None:
        self._flow, self._hift = models
        self._voice = voice
        self._device = self._flow.noise.device
        self._state = self._flow.start(prompt, policy)
        self._vocoder = self._hift.start(seed=3)
        self._fed = 0

    def chunk(self, number: int) -> ChunkCost:
        """The chunks in order, from 1 on."""
        until = number * HOP + self._flow.config.look_ahead
        new = self._voice.token[0, self._fed : until]
        self._fed = until
        (mel,), flow = timed(self._device, lambda: self._flow.step([self._state], [new], [False]))
        _, vocoder = timed(self._device, lambda: self._hift.step([self._vocoder], [mel], [False]))
        return ChunkCost(flow, vocoder, mel, self._state.nbytes + self._vocoder.nbytes)


class Recomputed:
    """The reference's path. CosyVoice 2's vocoder goes over this chunk and the end of the last one, that of
    CosyVoice 3 over all of the mel."""

    def __init__(self, models: StreamModels, voice: RandomVoice) -> None:
        self._flow, self._hift = models
        self._voice = voice
        self._device = self._flow.noise.device

    def chunk(self, number: int) -> ChunkCost:
        """Any chunk, from 1 on."""
        tokens = number * HOP + self._flow.config.look_ahead
        case = Case(self._voice.token, *self._voice.prompt)
        mel, flow = timed(
            self._device,
            lambda: case.prefix(self._flow, tokens, streaming=True, finalize=False),
        )
        if isinstance(self._hift, CausalHift):
            causal = self._hift
            _, vocoder = timed(
                self._device, lambda: causal_vocoder.inference(causal, mel, finalize=False)
            )
            return ChunkCost(flow, vocoder, mel[0, :, -_FRAMES:])
        assert isinstance(self._hift, Hift)
        chain = ReferenceChain(self._hift)
        if number > 1:
            chain.feed(mel[:, :, -2 * _FRAMES : -_FRAMES], final=False)
        new = mel[:, :, -_FRAMES:]
        _, vocoder = timed(self._device, lambda: chain.feed(new, final=False))
        return ChunkCost(flow, vocoder, new[0])
