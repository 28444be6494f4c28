"""Traces of tasks: whose they are, what is in them, and that a collector that is gone harms nobody."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from cosyserve.server.app import RunningServer
from cosyserve.server.observe.otel import LoggedExporter, OtelTracing, otlp_exporter
from cosyserve.server.observe.tracing import LONGEST_STATE, parent_of
from cosyserve.server.settings import SettingsError, load_settings
from cosyserve.server.settings.observing import otlp_protocol
from cosyserve.server.startup import parts
from support.engines.faulty_engine import FaultyEngine
from support.peers.conversations import Tasks
from support.peers.last_word import WORDS, say
from support.peers.peers import GOOD, Peer, message, run_task, text
from support.peers.ways import HTTP, SOCKETS, Way

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT: Final = "00f067aa0ba902b7"
HEADERS: Final = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
STAGES: Final = ["admission", "voice", "queue", "first_sound", "speech"]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What servers with tracing send."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("cosyserve.server.observe.otel.otlp_exporter", lambda protocol: exporter)
    return exporter


async def spans_of(server: RunningServer, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """All spans of the tasks that are over."""
    await server.services.admission.wait_idle()
    tracing = server.services.tracing
    assert isinstance(tracing, OtelTracing)
    await asyncio.to_thread(tracing._provider.force_flush)
    return list(exporter.get_finished_spans())


def stages_of(spans: list[ReadableSpan], task: ReadableSpan) -> dict[str, ReadableSpan]:
    assert task.context is not None
    children = [
        each for each in spans if each.parent and each.parent.span_id == task.context.span_id
    ]
    assert all(each.name.startswith("speech ") for each in children)
    return {each.name.removeprefix("speech "): each for each in children}


def tasks_of(spans: list[ReadableSpan]) -> list[ReadableSpan]:
    return [each for each in spans if each.name == "speech"]


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_a_task_has_a_span_with_its_stages(
    served, collected: InMemorySpanExporter, way: Way
) -> None:
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        async with way.open(alice) as conversation:
            await say(conversation)
        spans = await spans_of(server, collected)
    (task,) = tasks_of(spans)
    stages = stages_of(spans, task)
    assert [each for each in stages if each != "text"] == STAGES
    assert task.kind is SpanKind.SERVER
    assert task.status.status_code is StatusCode.UNSET
    found = dict(task.attributes or {})
    assert found["gen_ai.output.type"] == "speech"
    assert (found["enduser.id"], found["cosyserve.transport"]) == ("alice", way.transport)
    assert found["cosyserve.outcome"] == "finished"
    assert found["cosyserve.speech_seconds"] == pytest.approx(0.15)
    assert "error.type" not in found
    assert (stages["first_sound"].attributes or {})["cosyserve.lm_seconds"] == pytest.approx(0.002)
    assert (stages["speech"].attributes or {})["cosyserve.tokens"] == 4
    times = [(each.start_time or 0, each.end_time or 0) for each in stages.values()]
    assert times == sorted(times)
    assert (task.start_time or 0) <= times[0][0]
    assert times[-1][1] <= (task.end_time or 0)
    assert not any(
        WORDS in str(value) for each in spans for value in (each.attributes or {}).values()
    )


def hosted_run_task(task_id: str) -> str:
    asked = json.loads(message("run-task", task_id, model="cosyvoice-v2"))
    asked["payload"]["parameters"] = {"voice": "plain", "format": "pcm"}
    asked["header"]["attributes"] = HEADERS
    return json.dumps(asked)


async def test_every_door_takes_the_clients_trace(served, collected: InMemorySpanExporter) -> None:
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        body = {"model": "tts-1", "voice": "plain", "input": WORDS, "response_format": "pcm"}
        with capture_logs() as logs:
            async with alice.http.post("/v1/audio/speech", json=body, headers=HEADERS) as answer:
                assert answer.status == 200
                await answer.read()
            headers = {"Authorization": "Bearer alice-secret", **HEADERS}
            async with alice.socket(additional_headers=headers) as socket:
                await socket.send(run_task("t"), message("finish-task", "t"))
                await socket.until("task-finished")
                other = json.loads(run_task("u"))
                parent = HEADERS["traceparent"].replace(TRACE, TRACE[::-1])
                other["header"]["attributes"] = {"traceparent": parent}
                await socket.send(json.dumps(other), message("finish-task", "u"))
                await socket.until("task-finished")
            async with alice.socket("/api-ws/v1/inference") as socket:
                hosted = Tasks(socket, hosted_run_task)
                assert (await say(hosted)).failed is None
            spans = await spans_of(server, collected)
    found = []
    for task in tasks_of(spans):
        assert task.context is not None
        assert task.parent is not None
        assert f"{task.parent.span_id:016x}" == PARENT
        found.append(f"{task.context.trace_id:032x}")
    assert found == [TRACE, TRACE, TRACE[::-1], TRACE]
    assert tasks_of(spans)[0].context.trace_state == {"vendor": "1"}  # type: ignore[union-attr]
    ended = [line for line in logs if line["event"] == "task_ended"]
    assert len(ended) == 4


async def test_lines_of_a_task_carry_its_trace(served, collected: InMemorySpanExporter) -> None:
    from structlog.contextvars import get_contextvars

    seen: list[dict[str, Any]] = []
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        real = engine.open_session

        def opened(*arguments: Any) -> Any:
            seen.append(get_contextvars())
            return real(*arguments)

        engine.open_session = opened  # type: ignore[method-assign]
        async with alice.socket(
            additional_headers={"Authorization": "Bearer alice-secret", **HEADERS}
        ) as socket:
            await socket.send(run_task("t"), message("finish-task", "t"))
            await socket.until("task-finished")
        body = {"model": "CosyVoice2-0.5B", "input": {**GOOD, "text": WORDS}}
        async with alice.http.post("/api/v1/audio/speech", json=body, headers=HEADERS) as answer:
            await answer.read()
    assert [each["trace_id"] for each in seen] == [TRACE, TRACE]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "none"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"traceparent": "x" * 8000},
        {"tracestate": "vendor=1"},
    ],
)
async def test_what_is_no_trace_is_ignored(
    served, collected: InMemorySpanExporter, headers: dict[str, str]
) -> None:
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        async with alice.socket(
            additional_headers={"Authorization": "Bearer alice-secret", **headers}
        ) as socket:
            for attributes in (headers, "none", {"traceparent": 7, "tracestate": []}):
                asked = json.loads(run_task("t"))
                asked["header"]["attributes"] = attributes
                await socket.send(json.dumps(asked), message("finish-task", "t"))
                await socket.until("task-finished")
        spans = await spans_of(server, collected)
    assert [each.parent for each in tasks_of(spans)] == [None] * 3


def test_a_long_state_is_left_out() -> None:
    def values_of(name: str) -> list[str]:
        return {"traceparent": ["p"], "tracestate": ["a=1", "b" * LONGEST_STATE]}[name]

    found = parent_of(values_of)
    assert found is not None
    assert (found.parent, found.state) == ("p", "")


async def test_errors_have_their_kind(served, collected: InMemorySpanExporter) -> None:
    async with (
        served(FaultyEngine(), tracing=True, max_tasks=1, daily_characters=20) as (server, engine),
        Peer.of(server, engine) as alice,
        alice.socket() as socket,
    ):
        await socket.send(run_task("t"), run_task("u"))
        await socket.until("task-failed", "u")
        await socket.send(text("continue-task", "t", "o" * 21))
        await socket.until("task-failed", "t")
        engine.error = RuntimeError("no sound")
        await socket.send(run_task("v"), message("finish-task", "v", input={"text": "one"}))
        await socket.until("task-failed", "v")
        engine.error = None
        await socket.send(run_task("w"), message("cancel-task", "w"))
        await socket.until("task-finished", "w")
        spans = await spans_of(server, collected)
    found = {
        (task.attributes or {})["cosyserve.task_id"]: (
            (task.attributes or {}).get("error.type"),
            task.status.status_code,
            (task.attributes or {})["cosyserve.outcome"],
        )
        for task in tasks_of(spans)
    }
    assert found == {
        "t": ("QuotaExceeded", StatusCode.UNSET, "throttled"),
        "u": ("Throttled", StatusCode.UNSET, "throttled"),
        "v": ("InternalError", StatusCode.ERROR, "failed"),
        "w": (None, StatusCode.UNSET, "cancelled"),
    }
    refused = next(
        each for each in tasks_of(spans) if (each.attributes or {})["cosyserve.task_id"] == "u"
    )
    assert [*stages_of(spans, refused)] == ["admission"]


# The exporter


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Any]]:
    """The requests that come to the address in the environment."""
    requests: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        taken = ExportTraceServiceRequest()
        taken.ParseFromString(await request.read())
        requests.append(taken)
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield requests
    await runner.cleanup()


async def test_spans_go_where_the_environment_says(
    served, collector: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "speech-of-ours")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        async with SOCKETS[0].open(alice) as conversation:
            await say(conversation)
    (request,) = collector  # sent at the end at the latest
    (scope,) = request.resource_spans
    resource = {each.key: each.value.string_value for each in scope.resource.attributes}
    assert resource["service.name"] == "speech-of-ours"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.version"]
    assert len(scope.scope_spans[0].spans) >= 1 + len(STAGES)


async def test_the_environment_may_switch_it_off(
    served, collector: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
        async with SOCKETS[0].open(alice) as conversation:
            await say(conversation)
    assert collector == []


async def test_a_dead_collector_harms_nobody(
    served, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with capture_logs() as logs:
        async with served(tracing=True) as (server, engine), Peer.of(server, engine) as alice:
            async with SOCKETS[0].open(alice) as conversation:
                for _ in range(3):
                    assert (await say(conversation)).failed is None
                    await server.services.admission.wait_idle()
                    tracing = server.services.tracing
                    assert isinstance(tracing, OtelTracing)
                    await asyncio.to_thread(tracing._provider.force_flush)
    lost = [line for line in logs if line["event"] == "traces_lost"]
    assert len(lost) == 1


def test_losses_are_told_once_and_so_is_their_end() -> None:
    class Inner(InMemorySpanExporter):
        answer: SpanExportResult | Exception = SpanExportResult.SUCCESS

        def export(self, spans: Any) -> SpanExportResult:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    inner = Inner()
    exporter = LoggedExporter(inner)
    with capture_logs() as logs:
        for inner.answer in (
            SpanExportResult.SUCCESS,
            SpanExportResult.FAILURE,
            OSError("gone"),
            SpanExportResult.FAILURE,
            SpanExportResult.SUCCESS,
            SpanExportResult.SUCCESS,
        ):
            exporter.export([])
    assert [line["event"] for line in logs] == ["traces_lost", "traces_arrive"]


def test_the_protocol_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert otlp_protocol() == "http/protobuf"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert otlp_protocol() == "grpc"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")
    assert otlp_protocol() == "http/json"
    with pytest.raises(ValueError, match="allowed: http/protobuf, grpc"):
        otlp_exporter(otlp_protocol())


async def test_a_missing_package_is_named(served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cosyserve.server.observe.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(
        SettingsError, match=r"tracing: needs opentelemetry.*; install cosyserve\[otel\]"
    ):
        async with served(tracing=True):
            pass


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, cosyserve.server.app; "
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert load_settings().tracing is False
    assert parts.Untraced().trace_id == ""
