"""Rewrite a checkpoint once, so that every start maps its weights instead of unpickling them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from ...files import new_folder
from ..lm.qwen2 import TIED_HEAD
from .errors import CheckpointError, printable
from .open import FORMAT, Checkpoint, open_folder
from .source import BASE, MANIFEST, Files


def convert(source: Path, target: Path, variant: str = BASE) -> Checkpoint:
    """Write the checkpoint in `source` to the new directory `target`; returns it, opened.

    variant: of the LM; the target has no other.
    The target appears whole or not at all: it is written beside itself, flushed to the disk and renamed.
    It stands alone; nothing in it refers to the source. Values and types of the weights stay as they are.
    Blocking. Raises CheckpointError.
    """
    checkpoint = open_folder(source, variant)
    assert checkpoint.files is not None, "a folder was opened"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{printable(target)}: already there")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(target) as folder:
            _write(checkpoint, checkpoint.files, folder)
    except OSError as error:
        raise CheckpointError(f"{printable(target)}: {error.strerror or error}") from error
    return open_folder(target, variant)


def _write(checkpoint: Checkpoint, files: Files, folder: Path) -> None:
    for part, state in checkpoint.weights.items():
        save_file(_separate(state), folder / f"{part}.safetensors", {"format": "pt"})
    copied = [files.campplus, files.speech_tokenizer, *files.tokenizer]
    copied += [path for path in (files.qwen_config, files.spk2info) if path is not None]
    for source in copied:
        path = folder / source.relative_to(files.folder)
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, path)
    manifest = {
        "format": FORMAT,
        "family": files.family.name,
        "variant": files.variant,
        "config": checkpoint.config.flatten(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor with memory of its own, as the format asks; the tied head is not kept twice."""
    seen: set[int] = set()
    separate: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key == TIED_HEAD:
            continue
        whole = tensor.contiguous()
        memory = whole.untyped_storage().data_ptr()
        # views of one storage are refused by the format even where they do not overlap
        separate[key] = whole.clone() if memory in seen else whole
        seen.add(memory)
    return separate
