"""The settings themselves, one class a group; its docstring is the group's title in `--help`.

Durations are seconds, sizes bytes; a size may be written with a unit ("20MiB"), and an optional
setting is switched off by "none".

The settings of other APIs' clients: one group of those in setting_groups.py.

The settings of the OpenAI dialect: one group of those in setting_groups.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, Field, SecretStr
from pydantic_settings import NoDecode

from cosyserve.protocol.openai import LONGEST_VOICE

from .engine import CosyVoice, Vllm
from .values import (
    TOKEN_FORM,
    ListenAddress,
    OrNone,
    Token,
    parse_address,
    parse_host,
    parse_tokens,
    user_folder,
)


class Dialects(BaseModel):
    """Clients of other APIs"""

    dashscope_text_timeout: float = Field(
        23.0,
        gt=0,
        le=86_400,
        description="at /api-ws/v1/inference a task without new text fails after this (seconds)",
    )
    dashscope_idle_timeout: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="there a connection is closed after this between two tasks (seconds)",
    )
    dashscope_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=128,
        description="there a name of the hosted service's voices (longxiaochun and the like) that no "
        "reference has stands for this; none: for one of the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    elevenlabs_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=128,
        description="at /v1/text-to-speech an id like those of the hosted service's voices (20 letters "
        "and digits) that no reference has stands for this; none: for one of the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )


_FORM: Final = (
    "a table, or NAME=VOICE with commas between; a name has 1 to 64 of A-Z a-z 0-9 . _ -, "
    f"a voice is an id or a name of 1 to {LONGEST_VOICE} characters"
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

VoiceAlias = tuple[str, str]


def parse_aliases(value: object) -> tuple[VoiceAlias, ...]:
    """Read "alloy=alba,nova=clara", a list of such, or a table. Raises ValueError with what is allowed."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping):
        value = value.items()
    if not isinstance(value, Iterable):
        raise ValueError(f"allowed: {_FORM}")
    aliases = tuple(_alias(item) for item in value)
    names = [name for name, _ in aliases]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands for two voices; allowed: distinct names")
    return aliases


def _alias(item: object) -> VoiceAlias:
    parts = item.split("=", 1) if isinstance(item, str) else item
    match parts:
        case (str(name), str(voice)):
            name, voice = name.strip(), voice.strip()
            if _NAME.fullmatch(name) and 1 <= len(voice) <= LONGEST_VOICE:
                return name, voice
    raise ValueError(f"allowed: {_FORM}")


class OpenAI(BaseModel):
    """OpenAI dialect"""

    openai_voices: Annotated[tuple[VoiceAlias, ...], NoDecode, BeforeValidator(parse_aliases)] = (
        Field(
            (),
            description="what voice names stand for, alloy and the hosted service's others above all; "
            "a reference must be one that the token sees",
            json_schema_extra={"allowed": _FORM},
        )
    )
    openai_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=LONGEST_VOICE,
        description="what the hosted service's other names stand for; "
        "none: the engine's own voices, in turn",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    openai_open_lists: bool = Field(
        False,
        description="answer audio/models and audio/voices without a token as well, less the "
        "references: Open WebUI asks for them so",
    )


KIB, MIB = 1024, 1024 * 1024

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Size = Annotated[
    ByteSize,
    Field(ge=KIB, le=1024 * MIB, json_schema_extra={"allowed": "1KiB to 1GiB, or so many bytes"}),
]


def _default_host(values: Mapping[str, Any]) -> str:
    return "0.0.0.0" if values.get("tokens") else "127.0.0.1"


def _default_references() -> str:
    return str(user_folder("XDG_DATA_HOME", ".local/share") / "references")


def _default_workers() -> int:
    """One per usable core, but at least two, so that one speaks while another is replaced."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(max(2, cores), 8)


class Access(BaseModel):
    """Who may connect"""

    config: Annotated[Path | None, OrNone] = Field(
        None,
        description="TOML file of settings, named as here",
        json_schema_extra={"allowed": "a file"},
    )
    tokens: Annotated[tuple[Token, ...], NoDecode, BeforeValidator(parse_tokens)] = Field(
        (),
        description="tokens that open the server (--token, once for each; a list or a table in "
        "TOML; with commas between in the environment). The name stands for the token in logs, "
        "metrics and limits; a secret without one is named default. "
        "A browser's WebSocket can only send a secret of letters, digits and !#$%&'*+.^_`|~-",
        json_schema_extra={"allowed": TOKEN_FORM},
    )
    token_file: Annotated[Path | None, OrNone] = Field(
        None,
        description="file of more tokens, one a line; # begins a comment line",
        json_schema_extra={"allowed": "a file"},
    )
    allow_open: bool = Field(
        False, description="serve without tokens on an address that others can reach"
    )


class ListenSettings(BaseModel):
    """Where to listen"""

    host: Annotated[str, BeforeValidator(parse_host)] = Field(
        default_factory=_default_host,
        min_length=1,
        description="address to listen on; :: takes IPv6 and IPv4, localhost what there is of both",
        json_schema_extra={
            "allowed": "a host name or an address",
            "default_text": "0.0.0.0 with tokens, else 127.0.0.1",
        },
    )
    port: int = Field(
        8000, ge=0, le=65535, description="port for WebSocket and REST; 0 takes a free one"
    )
    tls_cert: Annotated[Path | None, OrNone] = Field(
        None,
        description="PEM file of the certificate chain",
        json_schema_extra={"allowed": "a file"},
    )
    tls_key: Annotated[Path | None, OrNone] = Field(
        None, description="PEM file of its private key", json_schema_extra={"allowed": "a file"}
    )
    page: bool = Field(True, description="serve the browser page at /")
    send_buffer_bytes: Size = Field(
        ByteSize(256 * KIB),
        description="a connection's send buffer in the kernel; of sound that is not on its way yet it "
        "holds about a second",
    )


class EngineChoice(BaseModel):
    """Engine"""

    engine: Literal["auto", "embedded", "cosyvoice2"] = Field(
        "auto", description="what speaks; auto: cosyvoice2 if a model is given, else embedded"
    )
    model: Annotated[str | None, OrNone] = Field(
        None,
        description="a CosyVoice 2 checkpoint: its folder, or what a hub knows it by (Hugging Face; "
        "ModelScope with modelscope: before the name)",
        json_schema_extra={"allowed": "a folder, or NAME/NAME@REVISION"},
    )
    embedded_workers: int = Field(
        default_factory=_default_workers,
        ge=1,
        le=256,
        description="processes that speak for the embedded engine",
        json_schema_extra={"default_text": "one per core, 2 to 8"},
    )
    default_language: str = Field(
        "en-us",
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        description="language of text whose script does not tell (embedded engine)",
        json_schema_extra={"allowed": "a BCP-47 tag"},
    )
    strip_markup: bool = Field(
        True,
        description="read **bold**, [text](address), <b>, tables and the like without their marks; "
        "off: as they are written",
    )


class ReferenceSettings(BaseModel):
    """Reference audio"""

    references: str = Field(
        default_factory=_default_references,
        min_length=1,
        description="where reference audio is kept",
        json_schema_extra={
            "allowed": "a folder, s3://BUCKET or s3://BUCKET/PREFIX",
            "default_text": "cosyserve/references in the user's data folder",
        },
    )
    references_shared: bool = Field(False, description="let every token see and use all references")
    max_upload_bytes: Size = Field(ByteSize(20 * MIB), description="largest upload")
    min_reference_seconds: float = Field(
        1.0, ge=0.1, le=600, description="shortest reference audio"
    )
    max_reference_seconds: float = Field(
        30.0, ge=0.1, le=600, description="longest reference audio"
    )
    s3_endpoint: Annotated[str | None, OrNone] = Field(
        None,
        pattern=r"^https?://[^\s/]+(/\S*)?$",
        description="address of an S3-compatible service; none: Amazon's",
        json_schema_extra={"allowed": "an http:// or https:// address"},
    )
    s3_region: Annotated[str | None, OrNone] = Field(
        None, description="its region", json_schema_extra={"allowed": "a region's name"}
    )
    s3_signature: Literal["v4", "v2"] = Field(
        "v4", description="how requests are signed; v2 only for services that do not take v4"
    )
    s3_path_style: bool = Field(
        False, description="name the bucket in the path, not in the host (MinIO and others)"
    )
    s3_access_key_id: Annotated[str | None, OrNone] = Field(
        None,
        description="its access key; none: what the machine's AWS configuration says",
        json_schema_extra={"allowed": "a key"},
    )
    s3_secret_access_key: Annotated[SecretStr | None, OrNone] = Field(
        None, description="the access key's secret", json_schema_extra={"allowed": "a secret"}
    )


class LimitSettings(BaseModel):
    """Limits"""

    max_connections: Count = Field(4000, description="connections at once")
    max_tasks: Count = Field(500, description="tasks at once")
    max_tasks_per_token: Count = Field(250, description="tasks at once for one token")
    max_tasks_per_connection: Count = Field(8, description="tasks at once on one connection")
    max_message_bytes: Size = Field(
        ByteSize(2 * MIB), description="longest WebSocket message or JSON body"
    )
    max_message_characters: Count = Field(20_000, description="most characters in a message's text")
    max_task_characters: int = Field(
        200_000, ge=1, le=100_000_000, description="most characters in a task's text"
    )


class Timeouts(BaseModel):
    """Times (seconds)"""

    idle_text_timeout: Seconds = Field(60.0, description="a task without new text fails after this")
    idle_connection_timeout: Annotated[Seconds | None, OrNone] = Field(
        None, description="a connection without a task is closed after this"
    )
    send_timeout: Seconds = Field(
        10.0,
        description="a client that takes no byte for this is cut off, and a player may pause as long; "
        "added is the time to read what its kernel may hold (128 KiB at most) at half the pace of playing",
    )
    head_timeout: Seconds = Field(10.0, description="a request's head must have come after this")
    ping_interval: Annotated[Seconds | None, OrNone] = Field(
        20.0, description="between WebSocket pings; none: no pings"
    )
    ping_timeout: Annotated[Seconds | None, OrNone] = Field(
        20.0,
        description="a client that takes no byte and answers no ping for this is cut off, once it has "
        "had time to read the sound before the ping",
    )
    drain_grace: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="how long after SIGTERM tasks may go on and clients may take what was spoken",
    )


class Observing(BaseModel):
    """Logs and metrics"""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level logged"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="lines for people or for programs"
    )
    metrics_address: Annotated[
        ListenAddress | None,
        NoDecode,
        BeforeValidator(lambda value: value and parse_address(value)),
        OrNone,
    ] = Field(
        None,
        description="serve /metrics here, and no longer on the main port",
        json_schema_extra={"allowed": "HOST:PORT"},
    )


GROUPS: Final[tuple[type[BaseModel], ...]] = (
    Access, ListenSettings, EngineChoice, CosyVoice, Vllm, ReferenceSettings, Dialects, OpenAI, LimitSettings,
    Timeouts, Observing,
)  # fmt: skip
