"""Checkpoints: opened from a directory or from state dictionaries, and loaded into models.

A Checkpoint's sizes agree and its weights fit them. A model is built on the meta device, given the mapped
weights and then moved; on the CPU, in the weights' own type, nothing is copied, and pages of the file come in
when they are first used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from ..config import ModelConfig, Value
from ..families import FAMILIES, Family, family_of
from ..families.sizes import Shapes
from ..flow import TokenFlow
from ..lm.qwen2 import TIED_HEAD, Qwen2Lm
from ..vocoder import StreamingVocoder
from .document import LARGEST, Document
from .errors import CheckpointError, listing, printable
from .limits import size_problems
from .sizes import Claim, claims_of_qwen, claims_of_weights, claims_of_yaml
from .source import BASE, QWEN_CONFIG, Files, find_files, fingerprint, read_json
from .weights import (
    PARTS,
    Unfilled,
    expected,
    key_problems,
    official,
    read_weights,
)

FORMAT: Final = 1
"""The format of a converted directory's manifest."""

Weights = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Sizes and weights that are known to fit each other.

    weights: by part (`llm`, `flow`, `hift`), the official keys; mapped from the files, not read. Drop the
    Checkpoint when the models are loaded, and what they do not use is unmapped.
    files: where the other parts lie; None if it was made of state dictionaries.
    fingerprint: changes with any content; voice_fingerprint: with what a prepared voice depends on only
    (speech tokenizer, speaker embedding, text tokenizer), so it names voices in a cache. Empty without files.
    """

    config: ModelConfig
    weights: Weights
    files: Files | None = None
    fingerprint: str = ""
    voice_fingerprint: str = ""


def open_folder(folder: Path, variant: str = BASE) -> Checkpoint:
    """Open a checkpoint's directory, in the official or the converted layout. variant: of the LM.

    Blocking: seconds for the official layout, less for the converted one. Raises CheckpointError with
    everything that is missing, extra or ill-shaped.
    """
    files = find_files(folder, variant)
    weights = {part: read_weights(path, part) for part, path in files.weights.items()}
    problems = foreign_weights(files, weights)
    if problems:
        raise CheckpointError(problems)
    config = read_config(files, weights)
    problems = fit_problems(config, weights, files)
    if problems:
        raise CheckpointError(problems)
    try:
        whole = fingerprint(files.all())
        of_voices = fingerprint([files.campplus, files.speech_tokenizer, *files.tokenizer])
    except OSError as error:
        raise CheckpointError(f"{printable(folder)}: {error.strerror}") from error
    return Checkpoint(config, weights, files, whole, of_voices)


def from_state_dicts(
    config: ModelConfig,
    *,
    llm: Mapping[str, Tensor] | None = None,
    flow: Mapping[str, Tensor] | None = None,
    hift: Mapping[str, Tensor] | None = None,
) -> Checkpoint:
    """A Checkpoint of state dictionaries in any of the official spellings; parts left out cannot be loaded.

    Raises CheckpointError as for a directory.
    """
    given = {"llm": llm, "flow": flow, "hift": hift}
    weights = {
        part: official(state, part, part) for part, state in given.items() if state is not None
    }
    problems = fit_problems(config, weights)
    if problems:
        raise CheckpointError(problems)
    return Checkpoint(config, weights)


def read_config(files: Files, weights: Weights) -> ModelConfig:
    """The sizes: of the manifest, or of yaml, Qwen2's config.json and the weights together.

    Raises CheckpointError if any two of them disagree.
    """
    family = files.family
    if files.converted:
        return _of_manifest(files)
    problems: list[str] = []
    claims: list[Claim] = []
    try:
        claims += claims_of_yaml(family, _document(files))
    except CheckpointError as error:
        problems += error.problems
    if files.qwen_config is not None:
        try:
            raw = read_json(files.qwen_config, QWEN_CONFIG)
            claims += claims_of_qwen(family, raw, QWEN_CONFIG)
        except CheckpointError as error:
            problems += error.problems
    if problems:
        raise CheckpointError(problems)
    places = {part: path.name for part, path in files.weights.items()}
    return _agreed(family, [*claims, *claims_of_weights(family, _shapes(weights), places)])


def foreign_weights(files: Files, weights: Weights) -> list[str]:
    """The files whose weights are of another family than the checkpoint."""
    return [
        f"{files.weights[part].name}: weights of {other.title}, where the model is of "
        f"{files.family.title}"
        for part, shapes in _shapes(weights).items()
        for other in FAMILIES
        if other is not files.family
        and other.recognises[part](shapes)
        and not files.family.recognises[part](shapes)
    ]


def _shapes(weights: Weights) -> dict[str, Shapes]:
    return {
        part: {key: tuple(tensor.shape) for key, tensor in state.items()}
        for part, state in weights.items()
    }


def fit_problems(config: ModelConfig, weights: Weights, files: Files | None = None) -> list[str]:
    """Why these weights are not a model of these sizes; empty if they are."""
    # impossible sizes would make an impossible list of expected keys
    return size_problems(config) or [
        line
        for part in PARTS
        if part in weights
        for line in key_problems(
            weights[part],
            expected(config, part),
            files.weights[part].name if files is not None else part,
        )
    ]


def _document(files: Files) -> Document:
    name = files.config.name
    try:
        with files.config.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read: {error.strerror}") from error
    return Document.parse(data, name)


def _agreed(family: Family, claims: Sequence[Claim]) -> ModelConfig:
    first: dict[str, Claim] = {}
    problems: list[str] = []
    for claim in claims:
        known = first.setdefault(claim.name, claim)
        if known.value != claim.value:
            problems.append(
                f"{known.place} is {printable(known.value)}, but {claim.place} "
                f"{'show' if claim.place.endswith('weights') else 'is'} {printable(claim.value)}"
            )
    if problems:
        raise CheckpointError(problems)
    return _config(family, {claim.name: claim.value for claim in first.values()}, "configuration")


def _of_manifest(files: Files) -> ModelConfig:
    name = files.config.name
    raw = read_json(files.config, name)
    if raw.get("format") != FORMAT:
        raise CheckpointError(
            f"{name}: format {printable(raw.get('format'))}, where {FORMAT} is known"
        )
    config = raw.get("config")
    if not isinstance(config, dict):
        raise CheckpointError(f"{name}: config: missing")
    absent = sorted(set(files.family.config.defaults()) - set(config))
    if absent:
        raise CheckpointError([f"{name}: config: {entry}: missing" for entry in absent])
    return _config(files.family, config, name)


def _config(family: Family, values: Mapping[str, Value], place: str) -> ModelConfig:
    try:
        return family.config.from_flat(values)
    except ValueError as error:
        raise CheckpointError(f"{place}: {printable(error)}") from error


def load_llm(
    checkpoint: Checkpoint,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Qwen2Lm:
    """The speech language model. Raises CheckpointError."""
    return cast(Qwen2Lm, _load(checkpoint, "llm", device, dtype))


def load_flow(
    checkpoint: Checkpoint,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TokenFlow[Any]:
    """Speech tokens to mel. It holds its weights in float32 and steps in `dtype`. Raises CheckpointError."""
    flow = cast(TokenFlow[Any], _load(checkpoint, "flow", device, torch.float32))
    flow.use_precision(dtype)
    return flow


def load_hift(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> StreamingVocoder:
    """The vocoder, in float32 at least: its phase needs it. Raises CheckpointError."""
    return cast(StreamingVocoder, _load(checkpoint, "hift", device, torch.float32))


def _load(
    checkpoint: Checkpoint, part: str, device: torch.device | str, dtype: torch.dtype
) -> nn.Module:
    state = checkpoint.weights.get(part)
    if state is None:
        raise CheckpointError(f"{part}: not in this checkpoint")
    with torch.device("meta"), Unfilled():
        model = family_of(checkpoint.config).network(checkpoint.config, part)
    given = {key: tensor.to(device, dtype) for key, tensor in state.items() if key != TIED_HEAD}
    try:
        model.load_state_dict(given, strict=True, assign=True)
    except RuntimeError as error:  # torch's report names the keys and shapes
        raise CheckpointError(f"{part}: does not fit: {printable(error, 1000)}") from error
    named = chain(model.named_parameters(), model.named_buffers())
    unset = [name for name, tensor in named if tensor.is_meta]
    if unset:
        raise CheckpointError(f"{part}: the weights do not set {listing(unset)}")
    # buffers that are no weights, in their own types
    return model.to(device).requires_grad_(False).eval()
