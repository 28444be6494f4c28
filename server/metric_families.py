"""Metrics on a registry of their own, with what is to be documented of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    "queue_depth": "Pieces of work that wait for a worker or for the device.",
    "unread_seconds": "Speech that was made and waits for its readers.",
    "device_busy_seconds_total": "Time that the device's thread has worked.",
    "queue_seconds_total": "Time that chunks have waited for the device.",
    "lm_step_seconds_total": "Time spent in steps of the speech model.",
    "lm_steps_total": "Steps of the speech model.",
    "lm_batch_rows_total": "Utterances in those steps; by the steps, the batch size.",
    "lm_tokens_total": "Speech tokens drawn.",
    "lm_streams": "Utterances that are in the speech model or wait to be.",
    "lm_streams_computed": "Those for which vLLM has something to compute.",
    "lm_busy_seconds_total": "Time in which vLLM had something to compute.",
    "lm_requests_total": "Requests of vLLM: one for each utterance, more for those that were called back.",
    "lm_chunks_total": "Pieces of text handed over to vLLM.",
    "lm_ids_read_total": "Text and prompt tokens that the speech model has read.",
    "lm_failed_streams_total": "Utterances that failed in vLLM.",
    "lm_engine_up": "1 if vLLM's engine runs, 0 while it is started again.",
    "lm_engine_deaths_total": "Times that vLLM's engine has died.",
    "lm_engine_rebuilds_total": "Times that it was started again.",
    "lm_engine_rebuild_seconds": "What that took the last time, waits included.",
    "lm_engine_failed_starts_total": "Times that it could not be started again.",
    "lm_engine_failures_in_a_row": "Deaths and failed starts since it last lived for long.",
    "lm_engine_breaker_open": "1 if it fails so often that it is tried at long intervals only.",
    "lm_cache_blocks": "Blocks of vLLM's keys and values.",
    "lm_cache_blocks_free": "Those that no utterance has or is promised.",
    "lm_streams_inside": "Utterances that have a place in vLLM.",
    "lm_streams_parked": "Those of them that wait for text.",
    "lm_streams_waiting": "Utterances that wait for a place in vLLM.",
    "lm_streams_recalled_total": "Utterances that gave their place to others while they waited for text.",
    "lm_loops_total": "Utterances ended because the speech model repeated itself.",
    "lm_recomputed_total": "Rows computed again in float32, as numbers had overflowed.",
    "lm_cache_bytes": "The speech model's keys and values.",
    "flow_seconds_total": "Time spent in the flow model.",
    "flow_recomputed_total": "Passes of it computed again in float32, as numbers had overflowed.",
    "vocoder_seconds_total": "Time spent in the vocoder.",
    "hop_batches_total": "Steps of flow and vocoder.",
    "hop_batch_rows_total": "Sessions in those steps; by the steps, the batch size.",
    "hops_failed_total": "Chunks that could not be computed.",
    "memory_budget_bytes": "Device memory that sessions and voices may take.",
    "memory_leased_bytes": "What of it sessions have or are promised.",
    "session_cache_bytes": "What sessions hold.",
    "spare_memory_bytes": "What ended sessions have left for the next ones, on a CPU.",
    "prompt_cache_bytes": "What voices' prompts hold.",
    "prompt_hits_total": "Sessions that found their voice's prompt on the device.",
    "prompt_misses_total": "Prompts computed.",
    "sessions_windowed_total": "Sessions given a short memory, for want of room.",
    "sessions_recomputing_total": "Sessions that compute everything again, for want of room.",
    "sessions_refused_total": "Sessions refused for want of room.",
    "voice_cache_bytes": "Prepared voices in memory.",
    "voice_memory_hits_total": "Voices found there.",
    "voice_disk_hits_total": "Voices found on disk.",
    "voice_misses_total": "Voices prepared from their clip.",
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

    def foreign(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Show what a library counts as it does, under its own names, whenever the page is asked for."""
        self.registry.register(ForeignCollector(families))

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


class ForeignCollector(Collector):
    """Families that somebody else keeps."""

    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()
