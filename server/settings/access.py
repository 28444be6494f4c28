"""Who may connect, and where the server listens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from .values import (
    KIB,
    ORIGIN_FORM,
    TOKEN_FORM,
    OrNone,
    PageOrigins,
    Size,
    Token,
    parse_host,
    parse_origins,
    parse_tokens,
)


class AccessSettings(BaseModel):
    """Access"""

    config: Annotated[Path | None, OrNone] = Field(
        None,
        description="TOML file with settings, under the names listed here",
        json_schema_extra={"allowed": "a file"},
    )
    tokens: Annotated[tuple[Token, ...], NoDecode, BeforeValidator(parse_tokens)] = Field(
        (),
        description="accepted bearer tokens: repeat --token, write a list or a table in TOML, or "
        "separate by commas in the environment. Logs, metrics and limits show the name; a secret "
        "without a name is called default. Browsers can send a secret on a WebSocket only if it "
        "consists of letters, digits and !#$%&'*+.^_`|~-",
        json_schema_extra={"allowed": TOKEN_FORM},
    )
    token_file: Annotated[Path | None, OrNone] = Field(
        None,
        description="file with more tokens, one a line, as in tokens; lines that begin with # are comments; "
        "it is read again when it changes",
        json_schema_extra={"allowed": "a file"},
    )
    allow_open: bool = Field(
        False, description="serve without tokens on an address that other machines can reach"
    )
    allowed_origins: Annotated[PageOrigins, NoDecode, BeforeValidator(parse_origins)] = Field(
        PageOrigins(),
        description="further web pages, beside the server's own, that may read its HTTP answers (CORS) and, "
        "where no token is asked for, use it at all, WebSockets included. Without tokens their hosts "
        "are also allowed in the Host header, as a proxy in front sends it; where other machines "
        "reach the server, Host is checked only if origins are listed, and may be an address or a name "
        "without a dot. Clients that send no Origin always may; with tokens a WebSocket needs only its token",
        json_schema_extra={"allowed": ORIGIN_FORM},
    )


def _default_host(values: Mapping[str, Any]) -> str:
    return "0.0.0.0" if values.get("tokens") else "127.0.0.1"


class ListenSettings(BaseModel):
    """Listening"""

    host: Annotated[str, BeforeValidator(parse_host)] = Field(
        default_factory=_default_host,
        min_length=1,
        description="address to listen on; :: accepts IPv6 and IPv4, localhost every loopback address "
        "that exists",
        json_schema_extra={
            "allowed": "a host name or an address",
            "default_text": "0.0.0.0 with tokens, else 127.0.0.1",
        },
    )
    port: int = Field(
        8000, ge=0, le=65535, description="port for WebSocket and HTTP; 0 picks a free one"
    )
    tls_cert: Annotated[Path | None, OrNone] = Field(
        None,
        description="PEM file with the certificate chain",
        json_schema_extra={"allowed": "a file"},
    )
    tls_key: Annotated[Path | None, OrNone] = Field(
        None,
        description="PEM file with the certificate's private key",
        json_schema_extra={"allowed": "a file"},
    )
    page: bool = Field(True, description="serve the browser page at /")
    send_buffer_bytes: Size = Field(
        ByteSize(256 * KIB),
        description="kernel send buffer per connection; about one second of unsent audio is queued in it",
    )
