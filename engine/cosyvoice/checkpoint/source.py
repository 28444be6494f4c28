"""Where a checkpoint comes from: a directory's files, or a hub's download.

    official                       converted
    cosyvoice2.yaml                cosyserve-model.json
    llm.pt flow.pt hift.pt         llm.safetensors flow.safetensors hift.safetensors
    campplus.onnx                  the same from here on
    speech_tokenizer_v2.onnx
    CosyVoice-BlankEN/             config.json (optional if converted) and the tokenizer's files
    spk2info.pt                    optional

CosyVoice 3 has cosyvoice3.yaml and speech_tokenizer_v3.onnx, and may have llm.rl.pt, another variant of the
LM. The YAML file, or an entry of the manifest, tells the family.

A part may be .safetensors in the official layout too; it is preferred to .pt. By name, a hub's own client
downloads:

    FunAudioLLM/CosyVoice2-0.5B@REVISION                        Hugging Face
    FunAudioLLM/Fun-CosyVoice3-0.5B-2512@REVISION
    modelscope:iic/CosyVoice2-0.5B@REVISION                     ModelScope
    modelscope:FunAudioLLM/Fun-CosyVoice3-0.5B-2512@REVISION

The revision must be given, so that the model does not change by itself; a commit's hash is the only kind that
cannot be moved. Only the files that are used are asked for, and none of them is code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from ..families import COSYVOICE2, FAMILIES, Family
from .errors import CheckpointError, printable
from .weights import PARTS

BASE: Final = "base"
"""The variant of the LM that every family has."""
MANIFEST: Final = "cosyserve-model.json"
CAMPPLUS: Final = "campplus.onnx"
SPK2INFO: Final = "spk2info.pt"
QWEN: Final = "CosyVoice-BlankEN"
QWEN_CONFIG: Final = f"{QWEN}/config.json"
VOCABULARY: Final = (f"{QWEN}/vocab.json", f"{QWEN}/merges.txt")
TOKENIZER: Final = f"{QWEN}/tokenizer.json"
TOKENIZER_EXTRAS: Final = (f"{QWEN}/tokenizer_config.json",)

_LARGEST_JSON: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts lie. Each path was a readable, non-empty regular file when it was looked at.

    weights: by part; config: the yaml or the manifest; tokenizer: every file of it that is there.
    variant: of the LM.
    """

    family: Family
    variant: str
    folder: Path
    config: Path
    qwen_config: Path | None
    weights: dict[str, Path]
    campplus: Path
    speech_tokenizer: Path
    tokenizer_folder: Path
    tokenizer: tuple[Path, ...]
    spk2info: Path | None

    @property
    def converted(self) -> bool:
        return self.config.name == MANIFEST

    def all(self) -> Iterator[Path]:
        yield self.config
        if self.qwen_config is not None:
            yield self.qwen_config
        yield from self.weights.values()
        yield self.campplus
        yield self.speech_tokenizer
        yield from self.tokenizer
        if self.spk2info is not None:
            yield self.spk2info


def find_files(folder: Path, variant: str = BASE) -> Files:
    """Look for everything. Raises CheckpointError with all that is missing or unusable, by file name.

    variant: of the LM, whose weights have a file of their own.
    """
    found = _Search(folder)
    if not os.path.isdir(folder):  # says no where Path.is_dir raises
        raise CheckpointError(f"{printable(folder)}: not a directory")
    manifest = found.optional(MANIFEST)
    if manifest is None:
        family, config = found.family()
        lm = found.variant(family, variant)
    else:
        family, config, lm = found.converted(manifest, variant), manifest, "llm"
    qwen_config = found.optional(QWEN_CONFIG) if manifest else found.required(QWEN_CONFIG)
    names = {part: lm if part == "llm" else part for part in PARTS}
    weights = {
        part: found.one_of(f"{name}.safetensors", f"{name}.pt") for part, name in names.items()
    }
    campplus = found.required(CAMPPLUS)
    speech_tokenizer = found.of_family(family)
    whole = found.optional(TOKENIZER)
    pair = [found.optional(name) if whole else found.required(name) for name in VOCABULARY]
    extras = [found.optional(name) for name in TOKENIZER_EXTRAS]
    spk2info = found.optional(SPK2INFO)
    if found.problems:
        raise CheckpointError(found.problems)
    return Files(
        family=family,
        variant=variant,
        folder=folder,
        config=config,
        qwen_config=qwen_config,
        weights=weights,
        campplus=campplus,
        speech_tokenizer=speech_tokenizer,
        tokenizer_folder=folder / QWEN,
        tokenizer=tuple(path for path in (whole, *pair, *extras) if path is not None),
        spk2info=spk2info,
    )


def family_at(source: Path | str) -> Family | None:
    """The family of the checkpoint in a directory, by a look at its names; None if they do not tell."""
    folder = Path(source)
    if os.path.exists(folder / MANIFEST):
        try:
            name = read_json(folder / MANIFEST, MANIFEST).get("family", COSYVOICE2.name)
        except CheckpointError:
            return None
        return next((family for family in FAMILIES if family.name == name), None)
    found = [family for family in FAMILIES if os.path.exists(folder / family.yaml)]
    return found[0] if len(found) == 1 else None


class _Search:
    """Looks names up and notes what is wrong; a path that it returns beside a problem is never used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def required(self, name: str) -> Path:
        return self.optional(name, needed=True) or self._folder / name

    def one_of(self, preferred: str, other: str) -> Path:
        return self.optional(preferred) or self.required(other)

    def family(self) -> tuple[Family, Path]:
        """The family whose YAML file is there, and the file."""
        present = [f for f in FAMILIES if os.path.exists(self._folder / f.yaml)]
        if len(present) == 1:
            return present[0], self.required(present[0].yaml)
        names = [family.yaml for family in FAMILIES]
        if present:
            self.problems.append(f"{' and '.join(names)}: both there, where a model is of one")
        else:
            self.problems.append(f"{' or '.join(names)}: missing")
        return COSYVOICE2, self._folder / COSYVOICE2.yaml

    def variant(self, family: Family, variant: str) -> str:
        """The name of the LM's weights."""
        if variant not in family.lm_files:
            known = ", ".join(family.lm_files)
            self.problems.append(f"variant {printable(variant)}: {family.title} has {known} only")
        return family.lm_files.get(variant, family.lm_files[BASE])

    def converted(self, manifest: Path, variant: str) -> Family:
        """The family that a manifest tells; without an entry it is older than the second family."""
        try:
            raw = read_json(manifest, MANIFEST)
        except CheckpointError as error:
            self.problems += error.problems
            return COSYVOICE2
        name, has = raw.get("family", COSYVOICE2.name), raw.get("variant", BASE)
        if has != variant:
            self.problems.append(
                f"{MANIFEST}: variant {printable(has)}, where {printable(variant)} is asked for"
            )
        for family in FAMILIES:
            if family.name == name:
                return family
        known = ", ".join(family.name for family in FAMILIES)
        self.problems.append(f"{MANIFEST}: family: {printable(name)}, where {known} are known")
        return COSYVOICE2

    def of_family(self, family: Family) -> Path:
        """The speech tokenizer; another family's is named if it is there in its place."""
        path = self._folder / family.speech_tokenizer
        others = [other for other in FAMILIES if (self._folder / other.speech_tokenizer).exists()]
        if file_problem(path) == _MISSING and not path.is_symlink() and others:
            self.problems.append(
                f"{path.name}: missing; {others[0].speech_tokenizer} is of {others[0].title}, "
                f"where the model is of {family.title}"
            )
            return path
        return self.required(path.name)

    def optional(self, name: str, needed: bool = False) -> Path | None:
        path = self._folder / name
        problem = file_problem(path)
        if problem is None:
            return path
        # a link that leads nowhere is a broken download rather than a file left out
        if needed or problem != _MISSING or path.is_symlink():
            self.problems.append(f"{name}: {problem}")
        return None


_MISSING: Final = "missing"


def file_problem(path: Path) -> str | None:
    """Why this is not a readable, non-empty regular file (or a link to one); None if it is.

    The kind is asked first: opening a pipe or a device could wait for ever.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return _MISSING
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if found.st_size == 0:
        return "empty"
    return None if os.access(path, os.R_OK) else "cannot be read: no permission"


def read_json(path: Path, name: str) -> dict[str, Any]:
    """A small JSON object. name: how errors call the file. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_JSON + 1)
        if len(data) > _LARGEST_JSON:
            raise CheckpointError(f"{name}: more than {_LARGEST_JSON} bytes")
        value = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}: not readable: {printable(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name}: not a JSON object")
    return value


_WHOLE_BELOW: Final = 1 << 20
_SAMPLES: Final = 32
_SAMPLE: Final = 16 * 1024


def fingerprint(paths: Iterable[Path]) -> str:
    """A digest of the files' names, sizes and content: whole up to 1 MiB, 32 samples spread evenly beyond it.

    Independent of folder, times and order, so a copy elsewhere has the same. It tells checkpoints apart;
    it does not protect against forgery. Raises OSError.
    """
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            if size <= _WHOLE_BELOW:
                digest.update(file.read(_WHOLE_BELOW))
                continue
            for i in range(_SAMPLES):
                file.seek((size - _SAMPLE) * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:32]


def wanted(variant: str = BASE) -> list[str]:
    """The allow-list of files, whatever the family."""
    lms = {family.lm_files[variant] for family in FAMILIES if variant in family.lm_files}
    parts = sorted(lms) + [part for part in PARTS if part != "llm"]
    return [
        *(family.yaml for family in FAMILIES),
        MANIFEST,
        *(f"{part}.{kind}" for part in parts for kind in ("pt", "safetensors")),
        CAMPPLUS,
        *(family.speech_tokenizer for family in FAMILIES),
        SPK2INFO,
        QWEN_CONFIG,
        TOKENIZER,
        *VOCABULARY,
        *TOKENIZER_EXTRAS,
    ]


Download = Callable[[str, str], str]
"""From id and revision to the folder of the files."""

_ID: Final = re.compile(
    r"((?P<hub>huggingface|modelscope):)?"
    r"(?P<name>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(@(?P<revision>[\w.-]+(/[\w.-]+){0,4}))?",
    re.ASCII,
)
_CLIENTS: Final = {"huggingface": "huggingface_hub", "modelscope": "modelscope"}


@dataclass(frozen=True, slots=True)
class HubId:
    """hub: huggingface or modelscope."""

    hub: str
    name: str
    revision: str


def parse_id(text: str) -> HubId | None:
    """The id that this text is, None if it does not look like one.

    Raises CheckpointError for an id without a revision.
    """
    match = _ID.fullmatch(text)
    if match is None:
        return None
    if match["revision"] is None:
        raise CheckpointError(
            f"{printable(text)}: no such directory; as the id of a model it needs a revision: "
            f"{printable(text)}@COMMIT"
        )
    return HubId(match["hub"] or "huggingface", match["name"], match["revision"])


def download(
    model: HubId, clients: Mapping[str, Download] | None = None, variant: str = BASE
) -> Path:
    """Fetch what is not there yet; blocking. clients: by hub, in place of the installed ones.

    Raises CheckpointError with the client's reason.
    """
    fetch = (clients or {}).get(model.hub) or _client(model.hub, variant)
    try:
        return Path(fetch(model.name, model.revision))
    except Exception as error:  # each client has a zoo of its own, from the network up
        raise CheckpointError(
            f"{model.hub}:{model.name}@{model.revision}: not downloaded: {printable(error, 300)}"
        ) from error


def _client(hub: str, variant: str) -> Download:
    package = _CLIENTS[hub]
    try:
        snapshot = cast(Callable[..., str], import_module(package).snapshot_download)
    except ImportError as error:
        raise CheckpointError(f"{hub}: needs the package {package}, not installed") from error

    def fetch(name: str, revision: str) -> str:
        # both clients know these two by the same names
        return snapshot(name, revision=revision, allow_patterns=wanted(variant))

    return fetch
