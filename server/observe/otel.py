"""Traces by OpenTelemetry: a span for each task, with its stages as children. Needs cosyserve[otel]."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from cosyserve.engine.interface import Work
from cosyserve.protocol.messages import TaskMetrics, TraceContext
from cosyserve.protocol.parameters import SpeechParameters
from cosyserve.version import VERSION

from .metrics import Outcome
from .tracing import Stage, TaskTrace

log = structlog.get_logger(__name__)

LAST_SECONDS: Final = 2.0
"""For what is left when the server stops."""
_OWN: Final = "cosyserve"
_NOISY: Final = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")


class OtelTracing:
    """Spans go to the exporter on a thread of their own; those that find its queue full are lost.

    The SDK reads `OTEL_*` from the environment: service name, resource, sampler, endpoint, queue.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        attributes = {SERVICE_NAME: _OWN, SERVICE_VERSION: VERSION}
        # What the environment says wins over what stands here.
        resource = Resource.create(attributes).merge(OTELResourceDetector().detect())
        for name in _NOISY:  # of a dead collector they log each batch
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(LoggedExporter(exporter)))
        self._tracer = self._provider.get_tracer(_OWN, VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def task(
        self,
        transport: str,
        parameters: SpeechParameters,
        caller: str,
        task_id: str,
        parent: TraceContext | None,
    ) -> TaskTrace:
        """As Tracing. A parent that is no trace context is ignored, as the standard has it."""
        context = Context()
        if parent is not None:
            carrier = {"traceparent": parent.parent, "tracestate": parent.state}
            context = self._propagator.extract(carrier, context)
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "speech",
            "gen_ai.provider.name": _OWN,
            "gen_ai.output.type": "speech",
            "enduser.id": caller,
            f"{_OWN}.transport": transport,
            f"{_OWN}.mode": parameters.mode.value,
            f"{_OWN}.output_format": parameters.output_format.value,
        }
        if task_id:
            attributes[f"{_OWN}.task_id"] = task_id
        span = self._tracer.start_span("speech", context, SpanKind.SERVER, attributes)
        return OtelTask(self._tracer, span)

    async def close(self) -> None:
        """As Tracing; a collector that does not answer is waited for no longer than LAST_SECONDS."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            loop.call_soon_threadsafe(done.set)

        # A daemon: the process need not wait for it.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await done.wait()
        except TimeoutError:
            log.warning("traces_lost", reason="the collector does not answer")


class OtelTask:
    """The span of a task, and the one of the stage that it is in."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._parent = trace.set_span_in_context(span)
        self._stage: Span | None = None
        self._work = Work()
        self._encoding = 0.0  # seconds
        self._sending = 0.0  # seconds
        itself = span.get_span_context()
        self.trace_id = trace.format_trace_id(itself.trace_id) if itself.is_valid else ""

    def stage(self, stage: Stage) -> None:
        self._end_stage()
        self._stage = self._tracer.start_span(f"speech {stage}", self._parent)

    def chunk(self, work: Work, encode_time: float) -> None:
        self._work += work
        self._encoding += encode_time

    def sent(self, seconds: float) -> None:
        self._sending += seconds

    def ended(
        self, outcome: Outcome, code: str, totals: TaskMetrics | None, characters: int
    ) -> None:
        attributes: dict[str, AttributeValue] = {
            f"{_OWN}.outcome": outcome,
            f"{_OWN}.characters": characters,
        }
        if totals is not None:
            attributes |= {
                f"{_OWN}.speech_seconds": totals.speech_len,
                f"{_OWN}.first_package_seconds": totals.first_package_time,
                f"{_OWN}.real_time_factor": totals.rtf,
            }
        self._span.set_attributes(attributes)
        for span in (self._stage, self._span):
            if span is not None and code:
                span.set_attribute("error.type", code)
                if outcome == "failed":
                    span.set_status(Status(StatusCode.ERROR, code))
        self._end_stage()
        self._span.end()

    def _end_stage(self) -> None:
        """Its costs are those of the chunks that came in it."""
        span, self._stage = self._stage, None
        if span is None:
            return
        work = self._work
        costs = {
            "queue_seconds": work.queue,
            "lm_seconds": work.lm,
            "flow_seconds": work.flow,
            "vocoder_seconds": work.vocoder,
            "tokens": work.tokens,
            "encode_seconds": self._encoding,
            "send_seconds": self._sending,
        }
        span.set_attributes({f"{_OWN}.{name}": cost for name, cost in costs.items() if cost})
        self._work, self._encoding, self._sending = Work(), 0.0, 0.0
        span.end()


class LoggedExporter(SpanExporter):
    """Says once that spans are lost, and once that they arrive again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            self._tell(str(error) or type(error).__name__)
            return SpanExportResult.FAILURE
        self._tell("" if result is SpanExportResult.SUCCESS else "the collector takes no spans")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _tell(self, reason: str) -> None:
        if bool(reason) != self._fails:
            self._fails = bool(reason)
            if reason:
                log.warning("traces_lost", reason=reason)
            else:
                log.info("traces_arrive")


def otlp_exporter(protocol: str) -> SpanExporter:
    """The exporter for this value of OTEL_EXPORTER_OTLP_PROTOCOL.

    Raises ImportError if its package is missing, ValueError for a protocol that there is not.
    """
    match protocol:
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter()
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
                OTLPSpanExporter as GrpcSpanExporter,
            )

            return GrpcSpanExporter()
        case _:
            raise ValueError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not usable; allowed: http/protobuf, grpc"
            )
