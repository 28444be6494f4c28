"""The pages that are made of the settings and metrics."""

from __future__ import annotations

import re

import pytest
from reference_tables import DOCS, PAGES, metrics_page, settings_page

from cosyserve.server.observe.metrics import Metrics
from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import flag
from cosyserve.server.settings.sources import OLD_NAMES, environment_name


def test_every_setting_has_a_row() -> None:
    page = settings_page()
    for name in Settings.model_fields:
        assert page.count(f"| `{flag(name)}` | `{environment_name(name)}` | ") == 1


def test_old_names_are_listed_with_their_new_ones() -> None:
    for old, new in OLD_NAMES.items():
        assert f"| `{flag(old)}` | `{environment_name(old)}` | `{flag(new)}` |" in settings_page()


def test_every_metric_has_a_row() -> None:
    page = metrics_page()
    for it in Metrics("").documented:
        assert page.count(f"| `{it.name}` | {it.kind} |") == 1
    assert page.count("## Server\n") == 1


@pytest.mark.parametrize("page", PAGES)
def test_rows_have_as_many_cells_as_their_head(page: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", PAGES[page](), re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_are_current(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page]()
