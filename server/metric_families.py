"""Metrics on a registry of their own, with what is to be documented of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

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

ENGINE_HELP: Final[Mapping[str, str]] = {
    "worker_restarts_total": "Worker processes that died and were replaced.",
    "workers": "Worker processes that are up.",
    "sessions": "Sessions that are open.",
    "queue_depth": "Pieces of work that wait for a worker.",
}
"""What engines are known to count; whatever else they count is exported too, by its name."""

_ENGINE_FALLBACK: Final = "As the engine counts it."


@dataclass(frozen=True, slots=True)
class Documented:
    """A metric as the table shows it; `name` is the one to query by."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


class Families:
    """Makes metrics, keeping what is to be documented of them."""

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
        """Read the engine's own counters and gauges whenever the page is asked for."""
        for name, help in ENGINE_HELP.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            self._document(f"engine_{name}", kind, (), help + " Where the engine has such.")
        self.registry.register(EngineCollector(stats))

    def _document(self, name: str, kind: str, labels: tuple[str, ...], help: str) -> None:
        self.documented.append(Documented(PREFIX + name, kind, labels, help))


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
