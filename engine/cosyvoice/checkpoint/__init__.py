"""Checkpoints of CosyVoice 2 and 3: open, check, convert, load.

    checkpoint = open_checkpoint("CosyVoice2-0.5B")         # or a hub's id@revision
    checkpoint = from_state_dicts(config, llm=..., flow=..., hift=...)   # tensors at hand, in official keys
    llm, flow, hift = load_llm(checkpoint), load_flow(checkpoint), load_hift(checkpoint)

What is wrong with one is a CheckpointError that names the files, entries, keys and shapes. Nothing in a
checkpoint is ever run: pickles hold tensors only, and the YAML's tags are words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .convert import convert
from .errors import CheckpointError
from .open import Checkpoint, from_state_dicts, load_flow, load_hift, load_llm, open_folder
from .report import PartReport, Report, check
from .source import BASE, Download, Files, download, family_at, fingerprint, parse_id

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Files",
    "PartReport",
    "Report",
    "check",
    "convert",
    "family_at",
    "fingerprint",
    "from_state_dicts",
    "load_flow",
    "load_hift",
    "load_llm",
    "locate",
    "open_checkpoint",
    "open_folder",
]


def open_checkpoint(
    source: Path | str, clients: Mapping[str, Download] | None = None, variant: str = BASE
) -> Checkpoint:
    """Open a directory or a hub's id@revision, downloaded first if need be. Blocking.

    clients: as for `locate`. variant: of the LM. Raises CheckpointError.
    """
    return open_folder(locate(source, clients, variant), variant)


def locate(
    source: Path | str, clients: Mapping[str, Download] | None = None, variant: str = BASE
) -> Path:
    """The directory that this names: a path that is there, else the download of an id@revision.

    clients: what downloads, by hub (`huggingface`, `modelscope`), in place of their own packages.
    Raises CheckpointError.
    """
    # unlike Path.exists, this one says no to a name that no file can have
    if isinstance(source, str) and not os.path.exists(source):
        model = parse_id(source)
        if model is not None:
            return download(model, clients, variant)
    return Path(source)
