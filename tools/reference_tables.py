"""Writes docs/settings.md and docs/metrics.md, from the declarations of the settings and metrics.

.venv/bin/python tools/reference_tables.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from cosyserve.server.observe.metrics import Documented, Metrics
from cosyserve.server.settings import GROUPS, Settings
from cosyserve.server.settings.describe import allowed_values, default_text, flag
from cosyserve.server.settings.sources import OLD_NAMES, environment_name

DOCS = Path(__file__).parents[1] / "docs"

_MADE = "<!-- Made by tools/reference_tables.py: run it again after a change. -->"

_SETTINGS = f"""\
{_MADE}

# Settings

A setting is a flag of `cosyserve serve`, an environment variable, or a key of the TOML file that `--config`
names. The key is the flag's name with underscores: `--max-tasks` is `max_tasks`; `--token`, which may be
repeated, is the list `tokens`. Flags win over the environment, the environment over the file, the file over
defaults. `--no-page` and the like switch off.

Durations are in seconds; sizes take a unit (`20MiB`) or are in bytes. `none` switches an optional setting
off.

A setting that cannot be used ends the server with a line that names the setting, its value and the allowed
values: with exit status 2 if the value is wrong, 1 if the engine or the system refuses it (a port in use, a
folder that cannot be written).
"""

_OLD = """\
## Old names

These still work everywhere; the server logs a notice.
"""

_METRICS = f"""\
{_MADE}

# Metrics

`GET /metrics` serves the Prometheus text format, or OpenMetrics if asked for it. `--metrics-address` moves it
to an address of its own. Dashboards and alerts: [deployment](deploy.md#metrics-dashboard-alerts).
"""

_SERVER = "Server"

_LIBRARIES = (
    ("`process_*`", "gauge, counter", "", "Memory, CPU time and open files of the process."),
    ("`vllm:*`", "all", "", "vLLM's own metrics, where it runs the speech LM."),
)


def settings_page() -> str:
    """docs/settings.md: every setting by its flag and variable, with default and allowed values."""
    allowed = allowed_values(Settings)
    parts = [_SETTINGS]
    for group in GROUPS:
        rows = (
            (
                f"`{flag(name)}`",
                f"`{environment_name(name)}`",
                default_text(field),
                allowed[name],
                field.description or "",
            )
            for name, field in group.model_fields.items()
        )
        head = ("Flag", "Environment", "Default", "Allowed", "Meaning")
        parts.append(f"## {group.__doc__}\n\n{_table(head, rows)}")
    renamed = (
        (f"`{flag(old)}`", f"`{environment_name(old)}`", f"`{flag(new)}`")
        for old, new in OLD_NAMES.items()
    )
    parts.append(f"{_OLD}\n{_table(('Old flag', 'Old variable', 'Now'), renamed)}")
    return "\n".join(parts)


def metrics_page() -> str:
    """docs/metrics.md: every metric with its type and labels, the engines' own by engine."""
    parts = [_METRICS]
    # Stable: the server's own come first, then the engines' in the order of their declaration.
    documented = sorted(Metrics(engine_name="").documented, key=lambda it: bool(it.group))
    for group, metrics in groupby(documented, key=lambda it: it.group):
        parts.append(f"## {group or _SERVER}\n\n{_metrics_table(_rows(metrics))}")
    parts.append(f"## Libraries\n\n{_metrics_table(_LIBRARIES)}")
    return "\n".join(parts)


def _rows(metrics: Iterable[Documented]) -> Iterator[tuple[str, ...]]:
    for it in metrics:
        yield f"`{it.name}`", it.kind, ", ".join(it.labels), it.help


def _metrics_table(rows: Iterable[Sequence[str]]) -> str:
    return _table(("Metric", "Type", "Labels", "Meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    """Code as it is, other text without meaning in Markdown."""
    return text if text.startswith("`") else re.sub(r"[|*<>`\[\]]", r"\\\g<0>", text)


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page}

if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
