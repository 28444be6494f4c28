"""Logs and metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from .values import ListenAddress, OrNone, parse_address


class ObservingSettings(BaseModel):
    """Logs and metrics"""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum log level"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="console: for people, json: for programs"
    )
    metrics_address: Annotated[
        ListenAddress | None,
        NoDecode,
        BeforeValidator(lambda value: value and parse_address(value)),
        OrNone,
    ] = Field(
        None,
        description="serve /metrics at this address instead of on the main port",
        json_schema_extra={"allowed": "HOST:PORT"},
    )
