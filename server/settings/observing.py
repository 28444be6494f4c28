"""Logs and metrics."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from .values import ListenAddress, OrNone, parse_address


def otlp_protocol() -> str:
    """How traces are sent, as OpenTelemetry's variables say, which its SDK leaves to the program to read."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(name, "").strip():
            return protocol
    return "http/protobuf"


class ObservingSettings(BaseModel):
    """Logs and metrics"""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum log level"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="console: for people, json: for programs"
    )
    tracing: bool = Field(
        False,
        description="send a trace of each task by OTLP. OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's "
        "other variables say where to and how much; needs cosyserve[otel]",
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
