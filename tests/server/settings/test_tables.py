"""The tables made for the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.observe.metrics import Metrics
from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import flag
from cosyserve.server.settings.tables import metrics_table, settings_table

README = Path(__file__).parents[3] / "README.md"


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


@pytest.mark.parametrize("table", [settings_table, metrics_table])
def test_the_readme_holds_the_table(table: object) -> None:
    assert callable(table)
    assert table() in README.read_text(encoding="utf-8")
