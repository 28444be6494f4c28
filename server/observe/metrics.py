"""The server's metrics, for Prometheus. One object per server; nothing is global.

Label values come from closed sets only (transports, modes, formats, outcomes, error codes, the names of
configured tokens), so that no client can create series. docs/metrics.md is made of the declarations here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from cosyserve.engine.cosyvoice.statistics import STATISTICS
from cosyserve.protocol.errors import InternalError, TTSError
from cosyserve.protocol.messages import TaskMetrics
from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters
from cosyserve.version import VERSION

from ..auth import ANONYMOUS, Caller
from ..tasks.capacity import Capacity

PREFIX: Final = "cosyserve_"

DELAY_BUCKETS: Final = (
    0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
FACTOR_BUCKETS: Final = (
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.35,
    0.5,
    0.7,
    0.85,
    1.0,
    1.2,
    1.5,
    2.5,
    5.0,
)

_EVERY_ENGINE: Final = ("sessions", "queue_depth")

ENGINE_METRICS: Final[Mapping[str, Mapping[str, str]]] = {
    "Every engine": {name: STATISTICS[name].help for name in _EVERY_ENGINE},
    "Embedded engine": {
        "workers": "Running worker processes.",
        "worker_restarts_total": "Worker processes that died and were replaced.",
    },
    "CosyVoice 2": {
        name: statistic.help
        for name, statistic in STATISTICS.items()
        if statistic.read is not None and name not in _EVERY_ENGINE
    },
    "CosyVoice 2: speech LM in torch or vLLM": {
        name: statistic.help for name, statistic in STATISTICS.items() if statistic.read is None
    },
}
"""The stats of engines by who has them. An engine's other stats are exported too, by their names."""

ENGINE_HELP: Final[Mapping[str, str]] = {
    name: help for metrics in ENGINE_METRICS.values() for name, help in metrics.items()
}

_ENGINE_FALLBACK: Final = "A statistic of the engine."


@dataclass(frozen=True, slots=True)
class Documented:
    """A metric for its readers.

    name: to query by. group: the engines that have it, a key of ENGINE_METRICS; "" for the server's own.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    group: str = ""


class Families:
    """Metrics on a registry of their own, together with their documentation."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.documented: list[Documented] = []

    def counter(self, name: str, help: str, *labels: str) -> Counter:
        """`name` ends in _total."""
        self._document(name, "counter", labels, help)
        return Counter(PREFIX + name, help, labels, registry=self.registry)

    def gauge(self, name: str, help: str, *labels: str) -> Gauge:
        self._document(name, "gauge", labels, help)
        return Gauge(PREFIX + name, help, labels, registry=self.registry)

    def histogram(self, name: str, help: str, buckets: Sequence[float], *labels: str) -> Histogram:
        self._document(name, "histogram", labels, help)
        return Histogram(PREFIX + name, help, labels, registry=self.registry, buckets=buckets)

    def engine(self, stats: Callable[[], Mapping[str, float]]) -> None:
        """Read the engine's own counters and gauges at each scrape."""
        for group, metrics in ENGINE_METRICS.items():
            for name, help in metrics.items():
                kind = "counter" if name.endswith("_total") else "gauge"
                self._document(f"engine_{name}", kind, (), help, group)
        self.registry.register(EngineCollector(stats))

    def foreign(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Read a library's metrics at each scrape; they keep their names."""
        self.registry.register(ForeignCollector(families))

    def _document(
        self, name: str, kind: str, labels: tuple[str, ...], help: str, group: str = ""
    ) -> None:
        self.documented.append(Documented(PREFIX + name, kind, labels, help, group))


class EngineCollector(Collector):
    """The engine's stats as metrics: names in _total are counters, all others gauges."""

    def __init__(self, stats: Callable[[], Mapping[str, float]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        for key, value in self._stats().items():
            name = f"{PREFIX}engine_{re.sub('[^a-zA-Z0-9_]', '_', key)}"
            help = ENGINE_HELP.get(key, _ENGINE_FALLBACK)
            if name.endswith("_total"):
                yield CounterMetricFamily(name, help, value=value)
            else:
                yield GaugeMetricFamily(name, help, value=value)


class ForeignCollector(Collector):
    """Metrics of a registry that is not ours."""

    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()


UNDERRUN_TOLERANCE: Final = 0.1
"""Seconds; a silence up to this long between chunks is not counted."""


class PlaybackClock:
    """A player that starts with the first chunk, holds no reserve, and waits whenever it runs dry.

    Network delay is left out: a constant one shifts everything alike.
    """

    __slots__ = ("_plays_until", "underruns")

    def __init__(self) -> None:
        self._plays_until: float | None = None
        self.underruns = 0

    def chunk_sent(self, at: float, speech_seconds: float) -> bool:
        """Take a chunk sent `at` (seconds of a steady clock); True if it came after an underrun."""
        due = self._plays_until
        late = due is not None and at - due > UNDERRUN_TOLERANCE
        self.underruns += late
        self._plays_until = (at if due is None else max(due, at)) + speech_seconds
        return late


Outcome = Literal["finished", "cancelled", "failed", "throttled", "disconnected"]
UploadOutcome = Literal["stored", "refused", "failed"]

UPLOAD_OUTCOMES: Final[tuple[UploadOutcome, ...]] = ("stored", "refused", "failed")
LAG_INTERVAL: Final = 0.5


@runtime_checkable
class CountsMore(Protocol):
    """An engine whose libraries have metrics of their own."""

    def extra_metrics(self) -> Iterable[Metric]: ...


class SpoolFill(Protocol):
    """What spools tell of themselves: bytes, answers, and how many of these wait for room."""

    @property
    def size(self) -> int: ...
    @property
    def open_now(self) -> int: ...
    @property
    def waiting(self) -> int: ...


def _no_stats() -> Mapping[str, float]:
    return {}


class Metrics:
    """All metrics of a server. For one event loop; `render` may be called from any thread.

    stats: the engine's statistics, read at each scrape. ready: whether new tasks would be served.
    token_names: allowed values of the label `token`. extra: metrics of the engine's libraries, read at each
    scrape. transports: values of the label `transport` whose series exist from the start; it has no others.
    spools: read at each scrape; None: there are none.
    """

    def __init__(
        self,
        engine_name: str,
        stats: Callable[[], Mapping[str, float]] = _no_stats,
        ready: Callable[[], bool] = lambda: True,
        token_names: Iterable[str] = (),
        extra: Callable[[], Iterable[Metric]] = lambda: (),
        transports: Iterable[str] = (),
        spools: SpoolFill | None = None,
    ) -> None:
        families = Families()
        self._families = families
        self._token_names = frozenset(token_names)
        self._make_task_metrics(families)
        self._make_audio_metrics(families)
        self._make_server_metrics(families, transports)
        _make_spool_metrics(families, spools)
        families.gauge(
            "build_info", "Always 1; version and engine are in the labels.", "version", "engine"
        ).labels(VERSION, engine_name).set(1)
        families.gauge("ready", "1 if the server accepts tasks, else 0.").set_function(
            lambda: float(ready())
        )
        families.engine(stats)
        families.foreign(extra)
        ProcessCollector(registry=families.registry)

    def _make_task_metrics(self, make: Families) -> None:
        self.tasks_running = make.gauge("tasks_running", "Running tasks.", "mode")
        self.tasks = make.counter(
            "tasks_total",
            "Ended tasks; code is the error code of failed and throttled tasks.",
            "transport", "mode", "format", "outcome", "code",
        )  # fmt: skip
        self.first_package = make.histogram(
            "first_package_seconds",
            "Time from a task's first text to its first audio.",
            DELAY_BUCKETS,
            "transport",
        )
        self.chunk_gap = make.histogram(
            "chunk_gap_seconds",
            "Time between two audio chunks of a task.",
            DELAY_BUCKETS,
            "transport",
        )
        self.real_time_factor = make.histogram(
            "real_time_factor",
            "Time from first text to last audio, per second of audio; finished tasks only.",
            FACTOR_BUCKETS,
            "transport",
        )
        self.underruns = make.counter(
            "underruns_total",
            "Gaps of more than 100 ms that a client playing in real time would have heard.",
            "transport",
        )
        self.streams_with_underrun = make.counter(
            "streams_with_underrun_total", "Tasks with at least one underrun.", "transport"
        )

        self.refusal = make.histogram(
            "task_refusal_seconds",
            "Time from the arrival of a WebSocket's request for a task that is refused to the answer.",
            LAG_BUCKETS,
            "transport",
        )
        self.tasks_limit = make.gauge(
            "tasks_limit", "Tasks that may speak at once: as many as the engine keeps up with."
        )
        self.realtime_share = make.gauge(
            "realtime_share",
            "Seconds that tasks waited for the engine per second of audio, when last measured.",
        )

    def _make_audio_metrics(self, make: Families) -> None:
        self.speech_seconds = make.counter(
            "speech_seconds_total", "Seconds of audio sent.", "format"
        )
        self.audio_bytes = make.counter(
            "audio_bytes_total", "Bytes of encoded audio sent.", "format"
        )
        self.characters = make.counter(
            "characters_total", "Characters of text accepted, as usage counts them.", "transport"
        )
        self.token_tasks = make.counter("token_tasks_total", "Ended tasks by token.", "token")
        self.token_speech_seconds = make.counter(
            "token_speech_seconds_total", "Seconds of audio sent by token.", "token"
        )
        self.uploads = make.counter("uploads_total", "Uploads of reference audio.", "outcome")
        self.upload_bytes = make.counter("upload_bytes_total", "Bytes of reference audio stored.")

    def _make_server_metrics(self, make: Families, transports: Iterable[str]) -> None:
        self.connections = make.gauge("connections", "Open connections.", "transport")
        self.connections_opened = make.counter(
            "connections_opened_total", "Connections opened since the start.", "transport"
        )
        self.loop_lag = make.histogram(
            "event_loop_lag_seconds", "Delay of timers on the event loop.", LAG_BUCKETS
        )
        for transport in transports:
            self.connections.labels(transport)
            self.underruns.labels(transport)
        for mode in Mode:
            self.tasks_running.labels(mode.value)
        for outcome in UPLOAD_OUTCOMES:
            self.uploads.labels(outcome)

    @property
    def documented(self) -> tuple[Documented, ...]:
        """Every metric of the server and its engines, as docs/metrics.md shows it."""
        return tuple(self._families.documented)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry behind `render`."""
        return self._families.registry

    def watch_capacity(self, capacity: Capacity) -> None:
        """Read its limit and share at each scrape."""
        self.tasks_limit.set_function(lambda: capacity.limit)
        self.realtime_share.set_function(lambda: capacity.share)

    @contextmanager
    def connection(self, transport: str) -> Iterator[None]:
        """Count a connection as open within the context."""
        self.connections_opened.labels(transport).inc()
        gauge = self.connections.labels(transport)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def know_tokens(self, names: Iterable[str]) -> None:
        """Allow these values of the label `token`, too."""
        self._token_names |= frozenset(names)

    def task_arrived(
        self, transport: str, parameters: SpeechParameters, caller: Caller | None = None
    ) -> TaskMeter:
        """A task was asked for; its meter must be told how it ends."""
        name = ANONYMOUS.name if caller is None else caller.name
        token = name if name in self._token_names else ANONYMOUS.name
        return TaskMeter(self, transport, parameters.mode, parameters.output_format, token)

    def upload(self, outcome: UploadOutcome, size: int) -> None:
        """An upload ended; `size` in bytes."""
        self.uploads.labels(outcome).inc()
        self.upload_bytes.inc(size)

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """The page and its content type; OpenMetrics if the Accept header asks for it."""
        encode, content_type = choose_encoder(accept or "")
        return encode(self.registry), content_type


class TaskMeter:
    """The metrics of one task. Its labels are resolved once, so that a chunk costs microseconds."""

    def __init__(
        self, metrics: Metrics, transport: str, mode: Mode, form: AudioFormat, token: str
    ) -> None:
        self._metrics = metrics
        self._labels = (transport, mode.value, form.value)
        self._token = token
        self._running = metrics.tasks_running.labels(mode.value)
        self._gap = metrics.chunk_gap.labels(transport)
        self._speech = metrics.speech_seconds.labels(form.value)
        self._bytes = metrics.audio_bytes.labels(form.value)
        self._playback = PlaybackClock()
        self._begun = False  # a chunk was sent
        self._over = False
        self._running.inc()

    def chunk(self, speech_seconds: float, size: int, now: float, waited: float) -> None:
        """A chunk is sent: its seconds of speech, its bytes, when (seconds of a steady clock).

        waited: seconds since the chunk before; for the first one, since the task's first text.
        """
        if self._begun:
            self._gap.observe(waited)
        else:
            self._begun = True
            self._metrics.first_package.labels(self._labels[0]).observe(waited)
        self._speech.inc(speech_seconds)
        self._bytes.inc(size)
        if self._playback.chunk_sent(now, speech_seconds):
            self._metrics.underruns.labels(self._labels[0]).inc()

    def ended(
        self,
        outcome: Outcome,
        code: str = "",
        totals: TaskMetrics | None = None,
        characters: int = 0,
    ) -> None:
        """The task is over; only the first call counts."""
        if self._over:
            return
        self._over = True
        metrics, transport = self._metrics, self._labels[0]
        self._running.dec()
        metrics.tasks.labels(*self._labels, outcome, _known_code(code)).inc()
        metrics.token_tasks.labels(self._token).inc()
        metrics.characters.labels(transport).inc(characters)
        if self._playback.underruns:
            metrics.streams_with_underrun.labels(transport).inc()
        if totals is not None and totals.speech_len > 0:
            metrics.token_speech_seconds.labels(self._token).inc(totals.speech_len)
            if outcome == "finished":
                metrics.real_time_factor.labels(transport).observe(totals.rtf)


def _make_spool_metrics(make: Families, spools: SpoolFill | None) -> None:
    size = make.gauge("spool_bytes", "Bytes of answers that are not streamed and not yet sent.")
    answers = make.gauge("spool_answers", "Answers that are being made or sent as a whole.")
    waiting = make.gauge("spool_answers_waiting", "Those of them that wait for room.")
    if spools is not None:
        size.set_function(lambda: spools.size)
        answers.set_function(lambda: spools.open_now)
        waiting.set_function(lambda: spools.waiting)


def _codes(error: type[TTSError]) -> Iterator[str]:
    yield error.code
    for kind in error.__subclasses__():
        yield from _codes(kind)


_CODES: Final = frozenset(_codes(TTSError)) | {""}


def _known_code(code: str) -> str:
    return code if code in _CODES else InternalError.code


async def watch_loop_lag(
    metrics: Metrics,
    interval: float = LAG_INTERVAL,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Measure until cancelled how late the event loop wakes a sleeper, every `interval` seconds."""
    while True:
        due = clock() + interval
        await sleep(interval)
        metrics.loop_lag.observe(max(0.0, clock() - due))
