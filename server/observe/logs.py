"""Logging: one configuration for the server's own events and for the libraries' stdlib loggers.

No log line may contain a token or a user's text. Callers are responsible for that; the redacting processor
here is a second line of defence.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TextIO

import structlog

REDACTED: Final = "[redacted]"
SECRET_KEYS: Final = frozenset(
    {
        "authorization", "cookie", "instruct", "input", "password", "payload", "secret",
        "sec_websocket_protocol", "text", "token", "tokens",
    }
)  # fmt: skip

# The lowest level of libraries that at debug log whole frames, headers, or signatures of requests.
_QUIET_LIBRARIES: Final = {
    "websockets": logging.INFO,
    "aiohttp": logging.INFO,
    "aiohttp.access": logging.WARNING,
    "aiobotocore": logging.WARNING,
    "botocore": logging.WARNING,
}
_CREDENTIALS: Final = re.compile(
    r"(?i)\b(bearer[ .]|authorization['\"]?\s*[:=]\s*['\"]?(?:bearer )?)[^\s'\",]{4,}"
)


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["console", "json"],
    stream: TextIO | None = None,
) -> None:
    """Send all log lines of the process to `stream` (default: stderr). Call once, before anything logs."""
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = sys.stderr if stream is None else stream
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name, least in _QUIET_LIBRARIES.items():
        logging.getLogger(name).setLevel(max(number, least))
    logging.captureWarnings(True)


def _renderer(log_format: str, stream: TextIO) -> structlog.typing.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(sort_keys=True, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def log_ids(
    *,
    request_id: str | None = None,
    task_id: str | None = None,
    caller: str | None = None,
    trace_id: str | None = None,
) -> AbstractContextManager[None]:
    """A context in which every log line has these ids, also in asyncio tasks that start in it."""
    ids = {"request_id": request_id, "task_id": task_id, "caller": caller, "trace_id": trace_id}
    return structlog.contextvars.bound_contextvars(
        **{key: value for key, value in ids.items() if value is not None}
    )


def redact(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor that hides the values of secret keys, and credentials inside strings."""
    for key, value in event.items():
        if key not in ("_record", "_from_structlog"):
            event[key] = _redacted(key, value)
    return event


def _redacted(key: object, value: object) -> object:
    if str(key).lower().replace("-", "_") in SECRET_KEYS:
        return REDACTED
    if isinstance(value, str):
        return _CREDENTIALS.sub(rf"\g<1>{REDACTED}", value)
    if isinstance(value, Mapping):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", item) for item in value]
    return value
