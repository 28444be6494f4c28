"""Logging: both kinds of loggers come out alike, with ids, without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from cosyserve.server.observe.logs import REDACTED, SECRET_KEYS, configure_logging, log_ids, redact


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, shown = list(root.handlers), root.level, warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_library_loggers_look_alike(stream: io.StringIO) -> None:
    structlog.get_logger("cosyserve.x").info("task_started", mode="fast")
    logging.getLogger("websockets.server").warning("connection %s", "lost")
    own, library = records(stream)
    assert own.keys() - {"mode"} == library.keys()
    assert (own["event"], own["mode"], own["level"], own["logger"]) == (
        "task_started", "fast", "info", "cosyserve.x",
    )  # fmt: skip
    assert (library["event"], library["level"]) == ("connection lost", "warning")


def test_level(stream: io.StringIO) -> None:
    structlog.get_logger("x").debug("no")
    logging.getLogger("x").debug("no")
    assert stream.getvalue() == ""


def test_libraries_that_log_frames_stay_quiet_at_debug() -> None:
    stream = io.StringIO()
    configure_logging("debug", "json", stream)
    for name in ("websockets.server", "botocore.auth", "aiohttp.server", "cosyserve.server"):
        logging.getLogger(name).debug("a header or a frame")
    assert [record["logger"] for record in records(stream)] == ["cosyserve.server"]


async def test_ids_follow_the_context(stream: io.StringIO) -> None:
    log = structlog.get_logger("x")

    async def work() -> None:
        log.info("inside")
        logging.getLogger("lib").info("inside")

    with log_ids(request_id="r", caller="ann"), log_ids(task_id="t"):
        task = asyncio.create_task(work())
    log.info("outside")
    await task
    outside, inside, library = records(stream)
    assert "request_id" not in outside
    for record in (inside, library):
        assert (record["request_id"], record["task_id"], record["caller"]) == ("r", "t", "ann")


@pytest.mark.parametrize("key", sorted(SECRET_KEYS))
def test_telling_keys_are_hidden(stream: io.StringIO, key: str) -> None:
    structlog.get_logger("x").info("e", **{key: "whisper", "nested": {key.upper(): ["whisper"]}})
    assert "whisper" not in stream.getvalue()
    assert records(stream)[0][key] == REDACTED


@pytest.mark.parametrize(
    "message",
    [
        "got Bearer s3cr3t-s3cr3t",
        "Sec-WebSocket-Protocol: cosyvoice.v1, bearer.s3cr3t-s3cr3t",
        "Authorization: s3cr3t-s3cr3t",
        "{'Authorization': 's3cr3t-s3cr3t'}",
        "authorization=Bearer s3cr3t-s3cr3t",
    ],
)
def test_credentials_in_messages_are_hidden(stream: io.StringIO, message: str) -> None:
    logging.getLogger("lib").error(message)
    structlog.get_logger("x").error("e", detail=[message])
    try:
        raise ValueError(message)
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert len(records(stream)) == 3
    assert "s3cr3t" not in stream.getvalue()


def test_other_values_are_left_alone() -> None:
    event = {"event": "the bearer of news", "task_id": "t", "count": 3, "none": None}
    assert redact(None, "info", dict(event)) == event


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_exceptions_are_whole_but_without_local_variables(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", log_format, stream)
    local = "-".join(["words", "of", "a", "user"])
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
    assert "Traceback" in stream.getvalue()
    assert "RuntimeError: broken" in stream.getvalue()
    assert local not in stream.getvalue()


def test_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    structlog.get_logger("x").info("task_started", mode="fast")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("lib").exception("failed")
    text = stream.getvalue()
    assert "task_started" in text
    assert "mode=fast" in text
    assert "RuntimeError: broken" in text
    assert "\x1b" not in text


def test_configuring_again_does_not_double_lines() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    configure_logging("info", "json", stream)
    logging.getLogger("x").info("once")
    assert len(records(stream)) == 1
