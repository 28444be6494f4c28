"""Which metrics a server exposes, with their labels."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from cosyserve.server.observe.metrics import ENGINE_HELP, Metrics

TARGET_LABELS = frozenset({"job", "instance"})
"""Labels that Prometheus itself puts on every series."""

_HISTOGRAM = ("_bucket", "_sum", "_count")


def series_of(metrics: Metrics) -> dict[str, frozenset[str]]:
    """Every series that can be asked for, by name: ours as documented, the process' as rendered."""
    found: dict[str, frozenset[str]] = {"up": frozenset()}
    for it in metrics.documented:
        labels = frozenset(it.labels)
        if it.kind == "histogram":
            found |= {it.name + suffix: labels for suffix in _HISTOGRAM}
            found[it.name + "_bucket"] |= {"le"}
        else:
            found[it.name] = labels
    return found | {name: labels for name, labels in rendered(metrics).items() if name not in found}


def rendered(metrics: Metrics) -> dict[str, frozenset[str]]:
    """The samples on the metrics' page; those with labels are there only once they were used."""
    return on_page(metrics.render()[0].decode())


def on_page(text: str) -> dict[str, frozenset[str]]:
    """The samples of a page in Prometheus' text format."""
    return {
        sample.name: frozenset(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def full_metrics() -> Metrics:
    """Metrics of a server whose engine counts all that is documented."""
    return Metrics("any", stats=lambda: dict.fromkeys(ENGINE_HELP, 1.0))
