"""Which checks go with which golden file, and running them over a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .features import check_features
from .flow import check_encoder, check_estimator, check_inference, check_noise
from .folder import FolderError, GoldenFolder, GoldenModels
from .golden import GoldenFile
from .lm import check_llm, check_sampling
from .report import ParityRow, Status
from .vocoder import check_hift, check_loop, check_tail


@dataclass(frozen=True, slots=True)
class Section:
    """The checks of one golden file. parts: whose weights they need."""

    check: Callable[[GoldenFile, GoldenModels], None]
    parts: tuple[str, ...] = ()


SECTIONS: Final = {
    "a_encoder": Section(check_encoder, ("flow",)),
    "b_flow_inference": Section(check_inference, ("flow",)),
    "c_estimator": Section(check_estimator, ("flow",)),
    "d_hift": Section(check_hift, ("hift",)),
    "e_token2wav_loop": Section(check_loop, ("flow", "hift")),
    "e2_tail": Section(check_tail, ("flow", "hift")),
    "f_llm": Section(check_llm, ("llm",)),
    "f_ras_sampling": Section(check_sampling),
    "g_frontend": Section(check_features),
    "rand_noise": Section(check_noise, ("flow",)),
}
"""By the file's name."""


def chosen(only: Sequence[str], folder: GoldenFolder) -> list[str]:
    """The files that these names, or beginnings of names, stand for; without any, all that are there.

    Raises FolderError for a name that stands for none, or for none that is there, and for a folder that has
    none at all.
    """
    there = [name for name in SECTIONS if folder.has(name)]
    if not there:
        known = ", ".join(f"{name}.safetensors" for name in SECTIONS)
        raise FolderError(f"{folder.path}: no folder of golden vectors: it has none of {known}")
    found: set[str] = set(there) if not only else set()
    for begin in only:
        meant = [begin] if begin in SECTIONS else [n for n in SECTIONS if n.startswith(begin)]
        if not begin or not meant:
            raise FolderError(f"{begin!r}: no golden file; there are {', '.join(SECTIONS)}")
        if not set(meant) & set(there):
            raise FolderError(f"{folder.path}: {', '.join(meant)}: not there")
        found.update(name for name in meant if name in there)
    return [name for name in SECTIONS if name in found]


def run(
    folder: GoldenFolder, models: GoldenModels, names: Sequence[str]
) -> Iterator[list[ParityRow]]:
    """The rows of each file, one file after the other. Raises CheckpointError, FolderError."""
    for name in names:
        file = GoldenFile(folder, name)
        section = SECTIONS[name]
        lacking = [part for part in section.parts if not models.has(part)]
        if lacking:
            files = ", ".join(f"{part}.safetensors" for part in lacking)
            file.leave(f"needs {files}, which is not there")
        else:
            _check(section, file, models)
        yield file.rows or [ParityRow(name, "(no array)", Status.MISSING)]


def _check(section: Section, file: GoldenFile, models: GoldenModels) -> None:
    for part in section.parts:
        getattr(models, part)  # what is wrong with the weights is no array's fault
    try:
        section.check(file, models)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"not as in the layout: {error!r}"
        file.rows.append(ParityRow(file.name, "meta", Status.ERROR, reason=reason))
    file.finish()


def strangers(folder: GoldenFolder) -> Iterator[list[ParityRow]]:
    """A row for each .safetensors file that no section is about."""
    for name in folder.names():
        if name not in SECTIONS:
            yield [
                ParityRow(
                    name, "(whole file)", Status.UNKNOWN, reason="no golden file of this name"
                )
            ]
