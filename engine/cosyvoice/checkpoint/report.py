"""A report of a checkpoint's directory for the operator: all that was found, and all that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..config import ModelConfig
from ..lm.qwen2 import TIED_HEAD
from ..prompt.onnx import OnnxModelError, SpeakerEncoder, SpeechTokenizer
from ..text.tokenizer import TextTokenizer, TokenizerError
from .errors import CheckpointError, printable
from .open import fit_problems, foreign_weights, read_config
from .source import BASE, Files, find_files, fingerprint
from .weights import PARTS, read_weights


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part's weights. dtypes: parameters by type."""

    part: str
    file: str
    bytes: int
    tensors: int
    parameters: int
    dtypes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """family, config, fingerprint: empty or None where the problems hide them. files: name to bytes."""

    folder: Path
    family: str
    files: Mapping[str, int]
    parts: tuple[PartReport, ...]
    config: ModelConfig | None
    fingerprint: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def table(self) -> str:
        """As text, several lines, without a newline at the end."""
        return "\n".join(_lines(self))


def check(folder: Path, *, values: bool = False, variant: str = BASE) -> Report:
    """Look at a checkpoint's directory. Blocking; reads the weights' index only.

    values: read every weight too, and report those that are not finite. variant: of the LM. Never raises
    for what is in the directory: that is in `problems`.
    """
    problems: list[str] = []
    try:
        files = find_files(folder, variant)
    except CheckpointError as error:
        return Report(folder, "", {}, (), None, "", error.problems)
    weights: dict[str, dict[str, Tensor]] = {}
    for part, path in files.weights.items():
        try:
            weights[part] = read_weights(path, part)
        except CheckpointError as error:
            problems += error.problems
    config = None
    foreign = foreign_weights(files, weights)
    problems += foreign
    if len(weights) == len(PARTS) and not foreign:
        try:
            config = read_config(files, weights)
            problems += fit_problems(config, weights, files)
        except CheckpointError as error:
            problems += error.problems
    parts = tuple(_part(part, files.weights[part], state) for part, state in weights.items())
    problems += _tokenizer_problems(files, config)
    problems += _onnx_problems(files, config)
    if values:
        problems += _value_problems(files, weights)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files.all()}
    return Report(
        folder, files.family.title, sizes, parts, config, fingerprint(files.all()), tuple(problems)
    )


def _part(part: str, path: Path, state: Mapping[str, Tensor]) -> PartReport:
    own = {key: tensor for key, tensor in state.items() if key != TIED_HEAD}
    dtypes: Counter[str] = Counter()
    for tensor in own.values():
        dtypes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return PartReport(
        part, path.name, path.stat().st_size, len(state), sum(dtypes.values()), dict(dtypes)
    )


def _value_problems(files: Files, weights: Mapping[str, Mapping[str, Tensor]]) -> Iterator[str]:
    for part, state in weights.items():
        for key, tensor in state.items():
            # one pass without a mask as large as the tensor
            low, high = torch.aminmax(tensor) if tensor.numel() else (tensor.sum(), tensor.sum())
            if not (torch.isfinite(low) and torch.isfinite(high)):
                yield f"{files.weights[part].name}: {printable(key)}: not finite"


def _tokenizer_problems(files: Files, config: ModelConfig | None) -> Iterator[str]:
    try:
        size = TextTokenizer.load(files.tokenizer_folder, files.family.special_tokens).size
    except TokenizerError as error:
        yield printable(error, 300)
        return
    if config is not None and size > config.lm.vocab_size:
        yield f"{files.tokenizer_folder.name}: {size} tokens, where llm knows {config.lm.vocab_size}"


def _onnx_problems(files: Files, config: ModelConfig | None) -> Iterator[str]:
    """Whether the two ONNX models open, take what they are given, and give what the model needs."""
    speaker_size = (config or files.family.config.from_flat({})).flow.speaker_size
    try:
        tokens = SpeechTokenizer(files.speech_tokenizer)(torch.zeros(1, 128, 100))
        if config is not None and not bool((tokens < config.flow.vocab_size).all()):
            yield f"{files.speech_tokenizer.name}: gives tokens that the flow does not know"
    except OnnxModelError as error:
        yield printable(error, 300)
    try:
        SpeakerEncoder(files.campplus, size=speaker_size)(torch.zeros(100, 80))
    except OnnxModelError as error:
        yield printable(error, 300)


def _lines(report: Report) -> Iterator[str]:
    yield f"checkpoint   {report.folder}"
    if report.family:
        yield f"family       {report.family}"
    if report.fingerprint:
        yield f"fingerprint  {report.fingerprint}"
    if report.files:
        yield ""
        width = max(map(len, report.files))
        for name, size in report.files.items():
            yield f"{name:{width}}  {size:>14,} bytes"
    if report.parts:
        yield ""
        yield f"{'part':6}{'tensors':>9}{'parameters':>15}  types"
        for part in report.parts:
            types = ", ".join(sorted(part.dtypes))
            yield f"{part.part:6}{part.tensors:>9,}{part.parameters:>15,}  {types}"
    if report.config is not None:
        yield ""
        for name, value in report.config.flatten().items():
            yield f"{name:38}{_shown(value)}"
    yield ""
    if report.ok:
        yield "complete: nothing is missing"
    for problem in report.problems:
        yield f"problem: {problem}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
