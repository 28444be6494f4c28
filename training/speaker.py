"""Stage `speaker`: an encoder from a clip to 192 numbers that say who speaks.

A time-delay network with statistics pooling (Snyder et al., 2018), trained to tell the voices apart with an
additive margin (arXiv:1801.05599).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.prompt import SpeakerEncoder

from .corpus import stage as data
from .corpus.shards import Corpus, Recording
from .onnx_graph import FLOAT, OnnxGraph
from .recipe import Recipe
from .schedule import train
from .weights import half_rounded, load_tensors, save_tensors
from .work import WorkFolder

STAGE: Final = "speaker"
FILE: Final = "campplus.onnx"
_EMBEDDINGS: Final = "embeddings.safetensors"
_BANDS: Final = 80
_CROP: Final = 150
"""Frames of 10 ms that are seen of a recording in training."""
_EDGE: Final = 8
"""Times that the first and the last frame are repeated, so that a single frame suffices."""
_MARGIN: Final = 0.2
_SCALE: Final = 20.0
_NOISE: Final = 0.3
"""Standard deviation of what is added to the training's features."""
_COMPARED: Final = 200
"""Recordings whose pairs give the error rate."""


class SpeakerNetwork(nn.Module):
    def __init__(self, width: int, size: int, voices: int) -> None:
        super().__init__()
        self.frames = nn.ModuleList(
            [
                nn.Conv1d(_BANDS, width, 5),
                nn.Conv1d(width, width, 3, dilation=2),
                nn.Conv1d(width, width, 3, dilation=3),
                nn.Conv1d(width, 2 * width, 1),
            ]
        )
        self.norm = nn.LayerNorm(4 * width)
        self.out = nn.Linear(4 * width, size)
        self.voices = nn.Parameter(torch.randn(voices, size))

    def forward(self, fbank: Tensor) -> Tensor:
        """[B, frames, 80] -> [B, size]."""
        x = F.pad(fbank.transpose(1, 2), (_EDGE, _EDGE), mode="replicate")
        for layer in self.frames:
            x = F.relu(layer(x))
        mean = x.mean(2)
        spread = ((x - mean[..., None]).square().mean(2) + 1e-4).sqrt()
        made: Tensor = self.out(self.norm(torch.cat([mean, spread], dim=1)))
        return made

    def write(self, path: Path) -> None:
        """As `campplus.onnx`: float [1, frames, 80] to [1, size]."""
        graph = OnnxGraph()
        x = graph.swap("input")
        pads = graph.constant([0, 0, _EDGE, 0, 0, _EDGE], np.int64)
        x = graph.node("Pad", [x, pads], mode="edge")
        for layer in self.frames:
            assert isinstance(layer, nn.Conv1d)
            x = graph.node("Relu", [graph.conv(x, layer)])
        axis = graph.constant([2], np.int64)
        mean = graph.node("ReduceMean", [x, axis], keepdims=1)
        apart = graph.node("Sub", [x, mean])
        variance = graph.node("ReduceMean", [graph.node("Mul", [apart, apart]), axis], keepdims=1)
        floor = graph.constant(1e-4, np.float32)
        spread = graph.node("Sqrt", [graph.node("Add", [variance, floor])])
        both = graph.node("Squeeze", [graph.node("Concat", [mean, spread], axis=1), axis])
        made = graph.linear(graph.layer_norm(both, self.norm), self.out)
        graph.node("Identity", [made], "output")
        size = self.out.out_features
        graph.save(path, {"input": (FLOAT, [1, "frames", _BANDS])}, {"output": (FLOAT, [1, size])})


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, FloatingPointError."""
    corpus, folder = Corpus(work.need(data.STAGE)), work.folder(STAGE)
    torch.manual_seed(recipe.speaker.seed)
    size = recipe.model.flow.speaker_size
    network = SpeakerNetwork(recipe.speaker_width, size, len(corpus.voices))
    by_voice = corpus.by_voice

    def losses(step: int, choice: random.Random) -> dict[str, Tensor]:
        voices = [choice.choice(sorted(by_voice)) for _ in range(recipe.speaker.batch)]
        rows = torch.stack([_crop(corpus, choice.choice(by_voice[v]), choice) for v in voices])
        rows = rows + _NOISE * torch.randn_like(rows)
        due = torch.tensor([corpus.voices.index(voice) for voice in voices])
        cosine = F.normalize(network(rows)) @ F.normalize(network.voices).T
        told = (cosine.argmax(1) == due).float().mean()
        margin = _MARGIN * F.one_hot(due, len(corpus.voices))
        return {"loss": F.cross_entropy(_SCALE * (cosine - margin), due), "told": told}

    train(folder, network, recipe.speaker, losses, work.log(STAGE))
    half_rounded(network)
    network.write(folder / FILE)
    encoder = SpeakerEncoder(folder / FILE, size=size)
    save_tensors(folder / _EMBEDDINGS, dict(_embedded(corpus, encoder)))
    return _figures(Embeddings(work), corpus)


def _crop(corpus: Corpus, recording: Recording, choice: random.Random) -> Tensor:
    fbank = corpus.get(recording, "fbank")
    fbank = fbank.repeat(-(-_CROP // len(fbank)), 1)
    first = choice.randint(0, len(fbank) - _CROP)
    part = fbank[first : first + _CROP]
    return part - part.mean(0)


def _embedded(corpus: Corpus, encoder: SpeakerEncoder) -> Iterator[tuple[str, Tensor]]:
    for recording in corpus.recordings:
        yield str(recording.number), encoder(corpus.get(recording, "fbank"))


class Embeddings:
    """What later stages read of this one."""

    def __init__(self, work: WorkFolder) -> None:
        self._tensors = load_tensors(work.folder(STAGE) / _EMBEDDINGS)

    def of(self, recording: Recording) -> Tensor:
        return self._tensors[str(recording.number)]


def _figures(embeddings: Embeddings, corpus: Corpus) -> dict[str, Any]:
    """How alike recordings of one voice and of two are, and the equal error rate between both kinds."""
    chosen = corpus.held_out[:_COMPARED]
    own: list[float] = []
    other: list[float] = []
    for one, two in combinations(chosen, 2):
        alike = float(F.cosine_similarity(embeddings.of(one), embeddings.of(two), dim=0))
        (own if one.voice == two.voice else other).append(alike)
    return {
        "alike_own_voice": float(np.mean(own or [0.0])),
        "alike_other_voice": float(np.mean(other or [0.0])),
        "equal_error_rate": _equal_error_rate(own, other),
    }


def _equal_error_rate(own: list[float], other: list[float]) -> float:
    """The share of wrong decisions at the threshold where both kinds of error are as frequent."""
    if not own or not other:
        return 1.0
    thresholds = np.sort(np.concatenate([own, other]))
    missed = np.searchsorted(np.sort(own), thresholds) / len(own)
    taken = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    place = int(np.abs(missed - taken).argmin())
    return float((missed[place] + taken[place]) / 2)
