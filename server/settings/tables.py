"""The tables of docs/settings.md and docs/metrics.md, made from the code that has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..observe.metrics import Metrics
from . import Settings
from .describe import allowed_values, default_text, flag
from .groups import GROUPS
from .sources import environment_name


def settings_table() -> str:
    """Every setting by its flag and variable, with default and allowed values (Markdown)."""
    return _table(("Flag", "Environment", "Default", "Allowed", "What"), _settings())


def metrics_table() -> str:
    """Every metric (Markdown)."""
    rows = [
        (f"`{it.name}`", it.kind, ", ".join(it.labels), it.help)
        for it in Metrics(engine_name="").documented
    ]
    rows.append(("`process_*`", "gauge, counter", "", "Memory, CPU time and files of the process."))
    rows.append(("`vllm:*`", "all", "", "What vLLM itself counts, where it runs the speech model."))
    return _table(("Metric", "Type", "Labels", "What"), rows)


def _settings() -> Iterator[tuple[str, ...]]:
    allowed = allowed_values(Settings)
    for group in GROUPS:
        yield (f"**{group.__doc__}**", "", "", "", "")
        for name, field in group.model_fields.items():
            yield (
                f"`{flag(name)}`",
                f"`{environment_name(name)}`",
                default_text(field),
                allowed[name],
                _plain(field.description or ""),
            )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(text: str) -> str:
    """The text as it stands: what a page would take for markup is escaped."""
    return re.sub(r"[*\[<`]", r"\\\g<0>", text)


if __name__ == "__main__":
    print(settings_table(), metrics_table(), sep="\n", end="")
