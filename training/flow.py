"""Stage `flow`: trains the product's own flow by conditional flow matching (arXiv:2210.02747).

A row is speech of one voice, several recordings after each other, cut to one length: as in use, where a
prompt comes first, and without padding, which the flow does not know.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.flow.attention import chunk_mask
from cosyserve.engine.cosyvoice.flow.estimator import ConvTails

from .corpus import stage as data
from .corpus.shards import Corpus, Recording
from .recipe import Recipe
from .schedule import train
from .speaker import Embeddings
from .tokenizer.stage import SpokenCodes
from .weights import half_rounded, save_tensors
from .work import WorkFolder

STAGE: Final = "flow"
WEIGHTS: Final = "flow.safetensors"
_TOKENS: Final = (50, 150)
"""Shortest and longest rows. One step has rows of one length."""
_PROMPTED: Final = 0.5
"""The share of rows whose beginning is given as a prompt."""
_PROMPT: Final = (0.1, 0.6)
"""The share of a row that a prompt takes."""
_UNGUIDED: Final = 0.2
"""The share of rows without condition: what classifier-free guidance (arXiv:2207.12598) subtracts."""
_STREAMED: Final = 0.5
"""The share of steps under the chunk mask."""
_MEAN: Final = 0.5
"""Weight of the encoder's own loss."""
_COMPARED: Final = 8
_MEASURED: Final = 200


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, FloatingPointError."""
    corpus = Corpus(work.need(data.STAGE))
    work.need("tokenizer")
    work.need("speaker")
    folder = work.folder(STAGE)
    rows = SpeechRows(corpus, SpokenCodes(work), Embeddings(work))
    torch.manual_seed(recipe.flow.seed)
    flow = Flow(recipe.model.flow)
    _begin_at(flow, rows.mean_mel())

    def losses(step: int, choice: random.Random) -> dict[str, Tensor]:
        tokens = choice.randint(*_TOKENS)
        drawn = [rows.draw(tokens, choice) for _ in range(recipe.flow.batch)]
        codes, mel, voices = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return matching_losses(flow, codes, mel, voices, choice)

    train(folder, flow, recipe.flow, losses, work.log(STAGE))
    half_rounded(flow)
    save_tensors(folder / WEIGHTS, flow.state_dict())
    return _figures(flow, rows, corpus)


def _begin_at(flow: Flow, mean: Tensor) -> None:
    """Give the last layers the corpus's mean mel [80] as their bias: else the first steps only find it."""
    with torch.no_grad():
        for layer in (flow.encoder_proj, flow.decoder.estimator.final_proj):
            assert layer.bias is not None
            layer.bias.copy_(mean)


def matching_losses(
    flow: Flow, codes: Tensor, mel: Tensor, voices: Tensor, choice: random.Random
) -> dict[str, Tensor]:
    """codes [B, N], mel [B, 2N, 80], voices [B, 192]: an embedding of each row's voice."""
    streaming = choice.random() < _STREAMED
    forget_positions(flow)
    embedded = flow.input_embedding(codes)
    tails = flow.encoder.empty_tails(embedded)
    hidden, _ = flow.encoder.advance(
        embedded, flow.config.look_ahead, tails, None, streaming=streaming
    )
    mean = flow.encoder_proj(hidden)
    speaker = flow.spk_embed_affine_layer(F.normalize(voices, dim=1))
    prompt = _prompts(mel, choice)
    kept = (torch.rand(len(mel), 1, 1) >= _UNGUIDED).float()
    time = 1 - torch.cos(torch.rand(len(mel)) * 0.5 * math.pi)
    noise, at = torch.randn_like(mel), time[:, None, None]
    inputs = torch.cat(
        [
            (1 - at) * noise + at * mel,
            kept * mean,
            kept * speaker[:, None].expand(-1, mel.shape[1], -1),
            kept * prompt,
        ],
        dim=2,
    )
    estimator = flow.decoder.estimator
    seen = (
        chunk_mask(mel.shape[1], estimator.config.chunk_frames, mel.device) if streaming else None
    )
    found = estimator.advance(inputs, estimator.time_mlp(time), ConvTails(None), seen, None)
    matching = (found - (mel - noise)).square().mean()
    apart = (mean - mel).abs().mean()
    return {"loss": matching + _MEAN * apart, "matching": matching, "mean": apart}


def forget_positions(flow: Flow) -> None:
    """Drop what the encoder's weights made of positions: to be called whenever the weights have changed.

    The encoder drops it when it is moved, be it to where it is.
    """
    flow.encoder.to(flow.noise.device)


def _prompts(mel: Tensor, choice: random.Random) -> Tensor:
    """The rows' beginnings where they are given, else zeros."""
    prompt = torch.zeros_like(mel)
    for row in range(len(mel)):
        if choice.random() < _PROMPTED:
            given = int(choice.uniform(*_PROMPT) * mel.shape[1])
            prompt[row, :given] = mel[row, :given]
    return prompt


class SpeechRows:
    """Cuts rows of one length from the corpus."""

    def __init__(self, corpus: Corpus, codes: SpokenCodes, embeddings: Embeddings) -> None:
        self._corpus = corpus
        self._codes = codes
        self._embeddings = embeddings

    def mean_mel(self) -> Tensor:
        """Over the first recordings."""
        mels = [self._corpus.get(u, "mel") for u in self._corpus.training[:_MEASURED]]
        return torch.cat(mels).mean(0)

    def draw(self, tokens: int, choice: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        """codes [N], mel [2N, 80], and the embedding of any recording of the voice."""
        one = choice.choice(self._corpus.training)
        same = self._corpus.by_voice[one.voice]
        chosen, length = [one], one.tokens
        while length < tokens:
            chosen.append(choice.choice(same))
            length += chosen[-1].tokens
        return self.joined(chosen, tokens, choice.choice(same))

    def joined(
        self, recordings: Sequence[Recording], tokens: int, voice: Recording
    ) -> tuple[Tensor, Tensor, Tensor]:
        codes = torch.cat([self._codes.codes(recording) for recording in recordings])
        mel = torch.cat([self._corpus.get(recording, "mel") for recording in recordings])
        return codes[:tokens], mel[: FRAMES_PER_TOKEN * tokens], self._embeddings.of(voice)


def speak(flow: Flow, codes: Tensor, prompt: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """codes [N] -> mel [2N, 80] by the product's own steps. prompt: codes [P], mel [2P, 80], embedding."""
    given, mel, voice = prompt
    state = flow.start(flow.prepare_prompt(given[None], mel[None], voice[None]))
    [made] = flow.step([state], [codes], [True])
    return made.T


def _figures(flow: Flow, rows: SpeechRows, corpus: Corpus) -> dict[str, Any]:
    """The mean difference of log mels, of held-out speech after another recording of its voice."""
    flow.requires_grad_(False)
    forget_positions(flow)
    differences = []
    for one in corpus.held_out[:_COMPARED]:
        given = next(u for u in corpus.recordings if u.voice == one.voice and u is not one)
        prompt = rows.joined([given], given.tokens, given)
        codes, mel, _ = rows.joined([one], one.tokens, one)
        differences.append(float((speak(flow, codes, prompt) - mel).abs().mean()))
    return {"mel_difference": sum(differences) / max(1, len(differences))}
