"""Stage `assemble`: writes the checkpoint's directory, with weights in half precision, and has it checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError, check
from cosyserve.engine.cosyvoice.checkpoint.weights import expected
from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from cosyserve.engine.cosyvoice.prompt import SpeakerEncoder
from cosyserve.engine.cosyvoice.vocoder import DIRECTION, GAIN

from .. import flow, speaker, vocoder
from ..corpus import stage as data
from ..corpus.shards import Corpus, Recording
from ..lm import stage as lm
from ..lm import text
from ..recipe import Recipe
from ..tokenizer import stage as tokenizer
from ..tokenizer.stage import SpokenCodes
from ..weights import load_tensors
from ..work import WorkFolder
from .official import qwen_json, yaml_text

STAGE: Final = "assemble"
MODEL: Final = "model"
_MEGABYTE: Final = 1e6
_PROMPT_TOKENS: Final = (60, 160)
"""Length of a built-in voice's prompt, in codes."""


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, and CheckpointError if the product would not take what was written."""
    folder = work.folder(STAGE) / MODEL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tokenizer_file = work.need(tokenizer.STAGE) / tokenizer.FILE
    speaker_file = work.need(speaker.STAGE) / speaker.FILE
    shutil.copyfile(tokenizer_file, folder / tokenizer.FILE)
    shutil.copyfile(speaker_file, folder / speaker.FILE)
    shutil.copytree(work.need(lm.STAGE) / text.FOLDER, folder / text.FOLDER)
    config = json.dumps(qwen_json(recipe.model.lm), indent=1) + "\n"
    (folder / text.FOLDER / "config.json").write_text(config)
    (folder / "cosyvoice2.yaml").write_text(yaml_text(recipe.model))
    for part, weights in _parts(work, recipe.model):
        torch.save(weights, folder / f"{part}.pt")
    torch.save(builtin_voices(work, recipe, speaker_file), folder / "spk2info.pt")
    report = check(folder, values=True)
    if not report.ok:
        raise CheckpointError(list(report.problems))
    return {
        "megabytes": sum(report.files.values()) / _MEGABYTE,
        "parameters": {part.part: part.parameters for part in report.parts},
        "folder": str(folder),
    }


def _parts(work: WorkFolder, config: ModelConfig) -> Iterator[tuple[str, dict[str, Tensor]]]:
    llm = _half(load_tensors(work.need(lm.STAGE) / lm.WEIGHTS))
    llm[TIED_HEAD] = llm[TEXT_EMBEDDING]
    yield "llm", llm
    yield "flow", _half(load_tensors(work.need(flow.STAGE) / flow.WEIGHTS))
    hift = load_tensors(work.need(vocoder.STAGE) / vocoder.WEIGHTS)
    yield "hift", _half(normalised(hift, expected(config, "hift")))


def _half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.half() for key, tensor in state.items()}


def normalised(
    state: Mapping[str, Tensor], due: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """With each weight that the official file has in two parts as a gain and a direction."""
    split: dict[str, Tensor] = {}
    for key in due:
        layer = key.removesuffix(GAIN)
        if key.endswith(GAIN):
            weight = state[f"{layer}.weight"]
            split[key] = torch.linalg.vector_norm(weight.double(), dim=(1, 2), keepdim=True)
            split[layer + DIRECTION] = weight
        elif not key.endswith(DIRECTION):
            split[key] = state[key]
    return split


def builtin_voices(work: WorkFolder, recipe: Recipe, encoder: Path) -> dict[str, dict[str, Tensor]]:
    """Entries of spk2info.pt: the teachers' own voices, each with a held-out recording as its prompt."""
    corpus, codes = Corpus(work.need(data.STAGE)), SpokenCodes(work)
    sequences = lm.Sequences(corpus, codes, lm.tokenizer_of(work), recipe)
    encode = SpeakerEncoder(encoder, size=recipe.model.flow.speaker_size)
    voices = {}
    for recording in _prompts(corpus):
        spoken = sequences.spoken(recording)
        embedding = encode(corpus.get(recording, "fbank"))[None]
        voices[recording.voice] = {
            "llm_embedding": embedding,
            "flow_embedding": embedding,
            "prompt_text": torch.tensor([spoken.text_ids], dtype=torch.float32),
            "flow_prompt_speech_token": codes.codes(recording)[None].float(),
            "prompt_speech_feat": corpus.get(recording, "mel")[None],
        }
    return voices


def _prompts(corpus: Corpus) -> Iterator[Recording]:
    """A recording for each unshifted voice, of the right length if there is one."""
    low, high = _PROMPT_TOKENS
    for voice in sorted({u.voice for u in corpus.recordings if u.original}):
        own = [u for u in corpus.recordings if u.voice == voice]
        yield min(own, key=lambda u: (not low <= u.tokens <= high, not u.held_out, u.number))
