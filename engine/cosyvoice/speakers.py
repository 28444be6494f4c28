"""The voices that a checkpoint brings along: spk2info.pt.

An entry has a speaker embedding, and may have a prompt (text, speech tokens, mel), as the reference writes it
for voices that were registered with a clip. One without a prompt speaks by its embedding alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from .checkpoint import CheckpointError
from .checkpoint.errors import printable
from .config import FRAMES_PER_TOKEN, ModelConfig
from .prompt.voice import VoicePrompt

_MOST: Final = 10_000


def load_speakers(path: Path, config: ModelConfig) -> dict[str, VoicePrompt]:
    """Voices by name. Raises CheckpointError, which names the entry."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch's loader raises many kinds, for damaged and hostile files alike
        raise CheckpointError(f"{path.name}: cannot be read: {type(error).__name__}") from error
    if not isinstance(found, dict) or len(found) > _MOST:
        raise CheckpointError(f"{path.name}: not a table of speakers")
    return dict(_speakers(found, path.name, config))


def _speakers(
    found: Mapping[object, object], place: str, config: ModelConfig
) -> Iterator[tuple[str, VoicePrompt]]:
    for name, entry in found.items():
        if not (isinstance(name, str) and 0 < len(name) <= 128 and name.isprintable()):
            raise CheckpointError(f"{place}: a speaker without a usable name")
        if not isinstance(entry, dict):
            raise CheckpointError(f"{place}: {name}: not an entry")
        try:
            yield name, _voice(f"speaker:{name}", entry, config)
        except (RuntimeError, ValueError) as error:  # torch's own, for shapes that cannot be
            raise CheckpointError(f"{place}: {name}: {printable(error)}") from error


def _voice(content_id: str, entry: Mapping[str, object], config: ModelConfig) -> VoicePrompt:
    embedding = _first(entry, "flow_embedding", "llm_embedding", "embedding")
    if embedding is None:
        raise ValueError("no embedding")
    embedding = embedding.float().reshape(-1)
    if embedding.shape[0] != config.flow.speaker_size or not bool(embedding.isfinite().all()):
        raise ValueError(f"the embedding is not {config.flow.speaker_size} finite numbers")
    tokens = _first(entry, "flow_prompt_speech_token", "llm_prompt_speech_token", "speech_token")
    mel = _first(entry, "prompt_speech_feat", "speech_feat")
    text = _first(entry, "prompt_text", "text")
    if tokens is None or mel is None:
        tokens, mel, text = torch.zeros(0), torch.zeros(0, config.flow.mel_size), None
    tokens = _ids(tokens, config.flow.vocab_size, "speech token")
    mel = mel.float().reshape(-1, config.flow.mel_size)
    if not bool(mel.isfinite().all()):
        raise ValueError("the mel is not finite")
    count = min(tokens.shape[0], mel.shape[0] // FRAMES_PER_TOKEN)
    ids = () if text is None else tuple(_ids(text, config.lm.vocab_size, "text token").tolist())
    return VoicePrompt(content_id, ids, tokens[:count], mel[: FRAMES_PER_TOKEN * count], embedding)


def _first(entry: Mapping[str, object], *names: str) -> Tensor | None:
    for name in names:
        value = entry.get(name)
        if isinstance(value, Tensor):
            return value
    return None


def _ids(values: Tensor, size: int, kind: str) -> Tensor:
    ids = values.reshape(-1).to(torch.int32)
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise ValueError(f"a {kind} is not in the vocabulary")
    return ids
