"""The sizes of a model as a checkpoint states them: in its configuration files, and by its weights' shapes.

Each number becomes a Claim: a name of ModelConfig, a value, and the place it came from. Claims of several
places are held against each other, so that an error names both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..config import Value, like
from ..families import FAMILIES, Family
from ..families.sizes import Shapes, SizeTable
from .document import Document
from .errors import CheckpointError, printable


@dataclass(frozen=True, slots=True)
class Claim:
    """`place` says that the number `name` has this value."""

    name: str
    value: Value
    place: str


_QWEN_SIZES: Final = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rope_theta",
    "rms_norm_eps",
    "max_position_embeddings",
)
_QWEN_NEEDED: Final = ("num_attention_heads", "num_key_value_heads")
"""Weights do not show how their rows are split into heads."""
_QWEN_ONLY: Final[dict[str, tuple[object, ...]]] = {
    "model_type": ("qwen2",),
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "tie_word_embeddings": (True,),
    "rope_scaling": (None,),
}


def claims_of_yaml(family: Family, document: Document) -> list[Claim]:
    """Raises CheckpointError with every entry that is ill-formed or asks for what is not supported."""
    table = family.sizes
    problems = [*_foreign_classes(family, document), *_unsupported(table, document)]
    claims: list[Claim] = []
    defaults = family.config.defaults()
    for path, name in table.entries.items():
        try:
            value = document.read(path)
            if value is not None and not (path in table.chunks and value == 0):
                claims.append(_claim(defaults, name, value, f"{document.name} {path}"))
        except CheckpointError as error:
            problems += error.problems
    for path, names, otherwise in table.lists:
        try:
            claims += _listed(defaults, document, path, names, otherwise)
        except CheckpointError as error:
            problems += error.problems
    if problems:
        raise CheckpointError(problems)
    return claims


def claims_of_qwen(family: Family, raw: Mapping[str, Any], place: str) -> list[Claim]:
    """The claims of Qwen2's config.json. Raises CheckpointError with every entry that is wrong."""
    problems = [
        f"{place}: {name}: {printable(raw[name])} is not supported"
        for name, allowed in _QWEN_ONLY.items()
        if name in raw and raw[name] not in allowed
    ]
    rope = raw.get("rope_parameters")
    entries = {**(rope if isinstance(rope, dict) else {}), **raw}
    problems += [f"{place}: {name}: missing" for name in _QWEN_NEEDED if name not in entries]
    claims: list[Claim] = []
    defaults = family.config.defaults()
    for name in _QWEN_SIZES:
        if name in entries:
            try:
                claims.append(_claim(defaults, f"lm.{name}", entries[name], f"{place} {name}"))
            except CheckpointError as error:
                problems += error.problems
    if problems:
        raise CheckpointError(problems)
    return claims


def _claim(defaults: Mapping[str, Value], name: str, value: object, place: str) -> Claim:
    try:
        return Claim(name, like(defaults[name], value, name), place)
    except ValueError as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise CheckpointError(f"{place}: {printable(reason)}") from error


def _foreign_classes(family: Family, document: Document) -> Iterator[str]:
    for part, known in family.sizes.classes.items():
        tag = document.tag(part)
        if tag is None:
            yield f"{document.name}: {part}: missing"
        elif tag and (given := tag.rpartition(".")[2]) != known:
            owner = [other.title for other in FAMILIES if other.sizes.classes[part] == given]
            whose = f", that of {owner[0]}" if owner else ""
            yield (
                f"{document.name}: {part}: {printable(tag)}{whose}, where {family.title} has {known}"
            )


def _unsupported(table: SizeTable, document: Document) -> Iterator[str]:
    for path, only in table.only.items():
        try:
            value = document.read(path)
        except CheckpointError as error:
            yield from error.problems
            continue
        if value is not None and value != only:
            allowed = "null" if only is None else only
            yield f"{document.name}: {path}: {printable(value)}, where only {allowed} is supported"


def _listed(
    defaults: Mapping[str, Value],
    document: Document,
    path: str,
    names: Sequence[str],
    otherwise: str,
) -> list[Claim]:
    """A list's numbers, one for each name; none where the document has no such list.

    Raises CheckpointError, which says `otherwise`.
    """
    value = document.read(path)
    if value is None:
        return []
    place = f"{document.name} {path}"
    if not isinstance(value, list) or len(value) != len(names):
        raise CheckpointError(f"{place}: {otherwise}")
    return [_claim(defaults, name, each, place) for name, each in zip(names, value, strict=True)]


def claims_of_weights(
    family: Family, shapes: Mapping[str, Shapes], places: Mapping[str, str]
) -> list[Claim]:
    """The claims of the weights' shapes.

    A key that is missing or of another rank makes none: it is reported as such.

    shapes, places: by part; the place is the file's name.
    """
    claims = []
    for part, readers in family.sizes.readers.items():
        for name, reader in readers.items():
            value = reader(shapes[part])
            if value is not None:
                claims.append(Claim(name, value, f"{places[part]}'s weights"))
    return claims
