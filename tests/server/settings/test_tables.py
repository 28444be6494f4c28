"""The tables made for docs/settings.md and docs/metrics.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.observe.metrics import Metrics
from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import flag
from cosyserve.server.settings.tables import metrics_table, settings_table

DOCS = Path(__file__).parents[3] / "docs"


def test_every_setting_has_a_row() -> None:
    table = settings_table()
    for name in Settings.model_fields:
        assert table.count(f"| `{flag(name)}` | `COSYSERVE_{name.upper()}` |") == 1


def test_every_metric_has_a_row() -> None:
    table = metrics_table()
    for it in Metrics("").documented:
        assert table.count(f"| `{it.name}` | {it.kind} |") == 1


@pytest.mark.parametrize("table", [settings_table(), metrics_table()])
def test_rows_have_as_many_cells_as_the_head(table: str) -> None:
    counts = {line.replace("\\|", "").count("|") for line in table.splitlines()}
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("page", "table"), [("settings.md", settings_table()), ("metrics.md", metrics_table())]
)
def test_the_page_holds_the_table(page: str, table: str) -> None:
    assert table in (DOCS / page).read_text(encoding="utf-8")
