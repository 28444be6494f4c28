"""A picture of a latency benchmark (needs matplotlib: extra `bench`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .latency_figures import Figures


class PlotUnavailable(Exception):
    """matplotlib is not installed."""


def plot_latency(
    path: Path, levels: Sequence[Figures], samples: Mapping[int, Sequence[float]], title: str
) -> None:
    """Draw the first package's distribution per level, and its percentiles over the levels.

    samples: seconds to the first package of every task, by number of streams.
    Raises PlotUnavailable, OSError.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotUnavailable("for a plot, install cosyserve[bench]") from None
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for streams, seconds in samples.items():
        ordered = sorted(second * 1000 for second in seconds)
        shares = [(number + 1) / len(ordered) for number in range(len(ordered))]
        left.step(ordered, shares, where="post", label=f"{streams} streams")
    left.set(xlabel="first package (ms)", ylabel="share of tasks", ylim=(0, 1.01))
    measured = [level for level in levels if level.first_package_from_first_text]
    for name in ("p50", "p95", "p99"):
        right.plot(
            [level.streams for level in measured],
            [getattr(level.first_package_from_first_text, name) * 1000 for level in measured],
            marker="o",
            label=name,
        )
    right.set(xlabel="concurrent streams", ylabel="first package (ms)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
