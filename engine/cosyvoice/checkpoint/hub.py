"""Checkpoints by name: a Hugging Face or ModelScope id, downloaded by the hub's own client.

    FunAudioLLM/CosyVoice2-0.5B@REVISION               Hugging Face
    modelscope:iic/CosyVoice2-0.5B@REVISION            ModelScope

The revision must be given, so that what runs does not change by itself; a commit's hash is the only kind
that cannot be moved. Only the files that are used are asked for, and none of them is code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from .errors import CheckpointError, printable
from .keys import PARTS
from .source import CAMPPLUS, MANIFEST, QWEN_CONFIG, SPEAKERS, SPEECH_TOKENIZER, TOKENIZER, TOKENIZER_EXTRAS, VOCABULARY, YAML

WANTED: Final = (
    YAML,
    MANIFEST,
    *(f"{part}.{kind}" for part in PARTS for kind in ("pt", "safetensors")),
    CAMPPLUS,
    SPEECH_TOKENIZER,
    SPEAKERS,
    QWEN_CONFIG,
    TOKENIZER,
    *VOCABULARY,
    *TOKENIZER_EXTRAS,
)
"""The allow-list of files."""

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


def download(model: HubId, clients: Mapping[str, Download] | None = None) -> Path:
    """Fetch what is not there yet; blocking. clients: by hub, in place of the installed ones.

    Raises CheckpointError with the client's reason.
    """
    fetch = (clients or {}).get(model.hub) or _client(model.hub)
    try:
        return Path(fetch(model.name, model.revision))
    except Exception as error:  # each client has a zoo of its own, from the network up
        raise CheckpointError(
            f"{model.hub}:{model.name}@{model.revision}: not downloaded: {printable(error, 300)}"
        ) from error


def _client(hub: str) -> Download:
    package = _CLIENTS[hub]
    try:
        snapshot = cast(Callable[..., str], import_module(package).snapshot_download)
    except ImportError as error:
        raise CheckpointError(f"{hub}: needs the package {package}, not installed") from error

    def fetch(name: str, revision: str) -> str:
        # both clients know these two by the same names
        return snapshot(name, revision=revision, allow_patterns=list(WANTED))

    return fetch
