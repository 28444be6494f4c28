"""What goes over the wire is what it was when it was recorded, byte for byte.

Where it is meant to change, record it again and read the difference:

    PYTHONPATH=tests .venv/bin/python -m support.recordings [PART OF A NAME ...]
    git diff tests/recordings

`support/recordings/exchanges/` says what clients do; a new exchange is a new function there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.recordings.book import BrokenOff, Exchange, difference, recorded
from support.recordings.engine import RecordedEngine
from support.recordings.exchanges import EXCHANGES
from support.recordings.product import (
    BIT_RATES,
    DASHSCOPE_FORMATS,
    DIALECTS,
    ELEVENLABS_FORMATS,
    SAMPLE_RATES,
    TRANSPORTS,
    AudioFormat,
    SpeechParameters,
    commands,
    error_codes,
    events,
    load_settings,
    serve,
)

RECORDED = recorded()

# Errors that a dialect cannot have, by the code of the tree.
_ONLY_HTTP = {
    "Unauthorized", "Forbidden", "NotFound", "MethodNotAllowed", "RequestTimeout", "PayloadTooLarge",
}  # fmt: skip
_ONLY_WEBSOCKET = {"InvalidState", "TaskPreempted", "TaskTimeout"}
_ONLY_UPLOADS = {"TooManyReferences", "UnsupportedMediaType"}
# What a task fails with; every way to speak is held to that elsewhere.
_OF_TASKS = {
    *("InvalidAudio", "TextTooLong", "Throttled", "TaskPreempted", "TaskTimeout"),
    *("EngineUnavailable", "InternalError"),
}
NOT_THERE = {
    "websocket": _ONLY_HTTP | _ONLY_UPLOADS,
    "dashscope": _ONLY_HTTP | _ONLY_UPLOADS,
    "rest": _ONLY_WEBSOCKET,
    "openai": _ONLY_WEBSOCKET | {"TooManyReferences"},
    "elevenlabs": {"InvalidState", "TooManyReferences"},
    "vllm_omni": _ONLY_HTTP | _ONLY_UPLOADS | _OF_TASKS,
    "dashscope_realtime": _ONLY_HTTP | _ONLY_UPLOADS | _OF_TASKS,
}


def said(dialect: str, marks: str = "<>") -> str:
    """The lines of all exchanges of a dialect that begin with one of these marks."""
    lines = "".join(text for name, text in RECORDED.items() if name.startswith(f"{dialect}/"))
    return "\n".join(re.findall(f"^[a-e]?[{marks}] (.*)$", lines, re.MULTILINE))


@pytest.mark.parametrize("exchange", EXCHANGES, ids=str)
def test_an_exchange_is_as_it_was_recorded(exchange: Exchange, tmp_path: Path) -> None:
    before = RECORDED.get(str(exchange), "")
    try:
        now = exchange.take(tmp_path)
    except BrokenOff as broken:
        pytest.fail(f"{broken.__cause__!r}\n{difference(before, str(broken))}", pytrace=False)
    if now != before:
        pytest.fail(difference(before, now), pytrace=False)


def test_every_recording_has_its_exchange() -> None:
    assert sorted(RECORDED) == sorted(str(exchange) for exchange in EXCHANGES)


def test_every_event_and_every_command_is_recorded() -> None:
    heard = said("websocket", "<")
    assert {name for name in events() if f'"event":"{name}"' not in heard} == set()
    sent = said("websocket", ">")
    assert {name for name in commands() if f'"action":"{name}"' not in sent} == set()


@pytest.mark.parametrize("dialect", TRANSPORTS)
def test_every_error_of_every_dialect_is_recorded(dialect: str) -> None:
    heard, missing = said(dialect, "<"), set()
    for code, name in error_codes(dialect).items():
        if code not in NOT_THERE[dialect] and f'":"{name}"' not in heard:
            missing.add(code)
    assert missing == set()


def test_every_error_is_recorded_somewhere() -> None:
    heard = {dialect: said(dialect, "<") for dialect in ("websocket", "rest")}
    assert not [
        code
        for code in error_codes("websocket")
        if not any(re.search(f'code":"{code}"', text) for text in heard.values())
    ]


def test_every_parameter_is_recorded() -> None:
    sent = said("websocket", ">")
    assert {name for name in SpeechParameters.model_fields if f'"{name}":' not in sent} == set()


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("websocket", '"output_format":"{}"'),
        ("rest", '"output_format":"{}"'),
        ("dashscope", '"format":"{}"'),
        ("openai", '"response_format":"{}"'),
        ("elevenlabs", "output_format={}_"),
    ],
)
def test_every_format_of_every_dialect_is_recorded(dialect: str, field: str) -> None:
    fewer = {"elevenlabs": ELEVENLABS_FORMATS, "dashscope": DASHSCOPE_FORMATS}
    formats = fewer.get(dialect, tuple(AudioFormat))
    sent = said(dialect, ">")
    assert {name for name in formats if field.format(name) not in sent} == set()


def test_every_rate_is_recorded() -> None:
    formats = "".join(text for name, text in RECORDED.items() if "websocket/formats" in name)
    assert {rate for rate in SAMPLE_RATES if f'"sample_rate":{rate}' not in formats} == set()
    assert {rate for rate in BIT_RATES if f" {rate} " not in formats} == set()


def test_every_dialect_and_its_addresses_are_recorded() -> None:
    assert {name for name in TRANSPORTS if not said(name)} == set()
    asked = {
        path.partition("?")[0]
        for text in RECORDED.values()
        for path in re.findall("^[a-e]?> UPGRADE (.*)$", text, re.MULTILINE)
    }
    for dialect in DIALECTS:
        for route in dialect.websockets:
            assert any(route.match(path) is not None for path in asked), route.path


async def test_every_route_is_recorded(tmp_path: Path) -> None:
    asked = {
        (method, path)
        for text in RECORDED.values()
        for method, path in re.findall("^> ([A-Z]+) ([^?\\s]+)", text, re.MULTILINE)
    }
    settings = {"port": 0, "host": "127.0.0.1", "references": str(tmp_path)}
    async with serve(load_settings(settings), RecordedEngine()) as server:
        routes = [
            (route.method, route.resource.canonical)
            for route in server.http.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        ]
    for method, canonical in routes:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(canonical))
        assert any(method == m and re.fullmatch(pattern, p) for m, p in asked), (method, canonical)
