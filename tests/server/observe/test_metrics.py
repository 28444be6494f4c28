"""Metrics: what each event changes on the page, and that the page is documented."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from prometheus_client.core import GaugeMetricFamily

from cosyserve.protocol.messages import TaskMetrics
from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters
from cosyserve.server.auth import Caller
from cosyserve.server.observe.metrics import ENGINE_HELP, Metrics, TaskMeter, watch_loop_lag
from cosyserve.server.quotas import DailyQuotas
from cosyserve.server.settings.values import DailyQuota
from cosyserve.version import VERSION

PARAMETERS = SpeechParameters(mode=Mode.FAST, reference_audio_id="x", output_format=AudioFormat.MP3)
TASK = {"transport": "websocket", "mode": "fast_replication", "format": "mp3"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("fake", token_names=["ann"], transports=["websocket"])


@pytest.fixture
def meter(metrics: Metrics) -> TaskMeter:
    return metrics.task_arrived("websocket", PARAMETERS, Caller("ann"))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"cosyserve_{name}", labels)


def test_connections(metrics: Metrics) -> None:
    assert value(metrics, "connections", transport="websocket") == 0
    with metrics.connection("websocket"):
        assert value(metrics, "connections", transport="websocket") == 1
    assert value(metrics, "connections", transport="websocket") == 0
    with pytest.raises(RuntimeError), metrics.connection("websocket"):
        raise RuntimeError
    assert value(metrics, "connections", transport="websocket") == 0
    assert value(metrics, "connections_opened_total", transport="websocket") == 2


def test_spools() -> None:
    @dataclass
    class Fill:
        size: int = 3
        open_now: int = 2
        waiting: int = 1

    metrics = Metrics("fake", spools=Fill())
    for name, expected in (("bytes", 3), ("answers", 2), ("answers_waiting", 1)):
        assert value(metrics, f"spool_{name}") == expected


def test_a_finished_task(metrics: Metrics, meter: TaskMeter) -> None:
    assert value(metrics, "tasks_running", mode="fast_replication") == 1
    meter.chunk(0.5, 100, 10.0, 0.03)
    meter.chunk(0.5, 200, 10.2, 0.2)
    meter.ended("finished", "", TaskMetrics(1.0, 0.03, 0.2), characters=7)
    websocket = {"transport": "websocket"}
    assert value(metrics, "tasks_running", mode="fast_replication") == 0
    assert value(metrics, "tasks_total", **TASK, outcome="finished", code="") == 1
    assert value(metrics, "first_package_seconds_count", **websocket) == 1
    assert value(metrics, "first_package_seconds_sum", **websocket) == 0.03
    assert value(metrics, "first_package_seconds_bucket", **websocket, le="0.025") == 0
    assert value(metrics, "first_package_seconds_bucket", **websocket, le="0.04") == 1
    assert value(metrics, "chunk_gap_seconds_count", **websocket) == 1
    assert value(metrics, "chunk_gap_seconds_sum", **websocket) == pytest.approx(0.2)
    assert value(metrics, "real_time_factor_sum", **websocket) == 0.2
    assert value(metrics, "speech_seconds_total", format="mp3") == 1
    assert value(metrics, "audio_bytes_total", format="mp3") == 300
    assert value(metrics, "characters_total", **websocket) == 7
    assert value(metrics, "token_tasks_total", token="ann") == 1
    assert value(metrics, "token_speech_seconds_total", token="ann") == 1
    assert value(metrics, "underruns_total", **websocket) == 0
    assert value(metrics, "streams_with_underrun_total", **websocket) is None


def test_underruns(metrics: Metrics, meter: TaskMeter) -> None:
    for at in (0.0, 1.0, 2.0):
        meter.chunk(0.5, 1, at, 0.1)
    meter.ended("finished")
    assert value(metrics, "underruns_total", transport="websocket") == 2
    assert value(metrics, "streams_with_underrun_total", transport="websocket") == 1


def test_a_task_ends_once(metrics: Metrics, meter: TaskMeter) -> None:
    meter.ended("cancelled")
    meter.ended("failed", "InternalError")
    assert value(metrics, "tasks_running", mode="fast_replication") == 0
    assert value(metrics, "tasks_total", **TASK, outcome="cancelled", code="") == 1
    assert value(metrics, "tasks_total", **TASK, outcome="failed", code="InternalError") is None


def test_refusals(metrics: Metrics, meter: TaskMeter) -> None:
    meter.ended("throttled", "Throttled")
    metrics.task_arrived("websocket", PARAMETERS).ended("failed", "EngineUnavailable")
    assert value(metrics, "tasks_total", **TASK, outcome="throttled", code="Throttled") == 1
    assert value(metrics, "tasks_total", **TASK, outcome="failed", code="EngineUnavailable") == 1
    assert value(metrics, "real_time_factor_count", transport="websocket") is None


def test_labels_are_bounded(metrics: Metrics) -> None:
    meter = metrics.task_arrived("websocket", PARAMETERS, Caller("made-up"))
    meter.ended("failed", "made-up")
    assert value(metrics, "tasks_total", **TASK, outcome="failed", code="InternalError") == 1
    assert b"made-up" not in metrics.render()[0]


def test_uploads(metrics: Metrics) -> None:
    metrics.upload("stored", 1000)
    metrics.upload("refused", 0)
    assert value(metrics, "uploads_total", outcome="stored") == 1
    assert value(metrics, "uploads_total", outcome="refused") == 1
    assert value(metrics, "uploads_total", outcome="failed") == 0
    assert value(metrics, "upload_bytes_total") == 1000


def test_what_is_read_at_each_scrape() -> None:
    stats = {"worker_restarts_total": 1.0, "queue depth": 3.0}
    state = {"ready": False}
    metrics = Metrics("fake", lambda: stats, lambda: state["ready"])
    assert value(metrics, "engine_worker_restarts_total") == 1
    assert value(metrics, "engine_queue_depth") == 3
    assert value(metrics, "ready") == 0
    stats["worker_restarts_total"] = 2
    state["ready"] = True
    assert value(metrics, "engine_worker_restarts_total") == 2
    assert value(metrics, "ready") == 1
    assert value(metrics, "build_info", version=VERSION, engine="fake") == 1


def test_two_servers_do_not_share(metrics: Metrics, meter: TaskMeter) -> None:
    assert value(Metrics("other"), "tasks_running", mode="fast_replication") == 0


def test_render(metrics: Metrics) -> None:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    assert b"cosyserve_tasks_running{" in body
    assert b"process_cpu_seconds_total" in body
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_what_an_engines_library_counts_is_shown_as_it_is_at_each_scrape() -> None:
    counts = iter([1.0, 2.0])
    metrics = Metrics(
        "fake",
        extra=lambda: [GaugeMetricFamily("vllm:kv_cache_usage_perc", "Used.", value=next(counts))],
    )
    assert b"\nvllm:kv_cache_usage_perc 1.0\n" in metrics.render()[0]
    assert b"\nvllm:kv_cache_usage_perc 2.0\n" in metrics.render()[0]


def test_all_metrics_are_documented_and_all_documented_are_there() -> None:
    metrics = Metrics("fake", lambda: dict.fromkeys(ENGINE_HELP, 0.0))
    there = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type)
        for family in metrics.registry.collect()
        if not family.name.startswith("process_")
    }
    documented = {(it.name, it.kind) for it in metrics.documented}
    assert documented == there
    assert len(documented) == len(metrics.documented)


def test_documented_labels_are_the_real_ones(metrics: Metrics, meter: TaskMeter) -> None:
    meter.chunk(0.5, 1, 0.0, 0.1)
    meter.chunk(0.5, 1, 5.0, 0.1)
    meter.ended("finished", "", TaskMetrics(1.0, 0.1, 0.2), characters=1)
    metrics.upload("stored", 1)
    metrics.refusal.labels("websocket").observe(0.1)
    metrics.watch_quotas(DailyQuotas(DailyQuota(5), {}))
    with metrics.connection("websocket"):
        labels = {
            sample.name.removesuffix("_count"): tuple(sample.labels)
            for family in metrics.registry.collect()
            for sample in family.samples
        }
    for it in metrics.documented:
        if not it.name.startswith("cosyserve_engine_"):
            assert labels[it.name] == it.labels, it.name


async def test_loop_lag(metrics: Metrics) -> None:
    times = iter([0.0, 0.5, 1.0, 1.75, 2.0])
    wakes = iter([True, True, False])

    async def sleep(seconds: float) -> None:
        assert seconds == 0.5
        if not next(wakes):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await watch_loop_lag(metrics, 0.5, lambda: next(times), sleep)
    assert value(metrics, "event_loop_lag_seconds_count") == 2
    assert value(metrics, "event_loop_lag_seconds_sum") == pytest.approx(0.25)
