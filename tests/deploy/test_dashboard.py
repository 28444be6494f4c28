"""deploy/grafana: what the dashboard asks for is what the server exposes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from support.peers.exposed_metrics import TARGET_LABELS, full_metrics, on_page, series_of
from support.tools.external_programs import DEPLOY, passes, tool
from support.tools.promql import parse

from .conftest import Stepped

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SERIES = series_of(full_metrics())
VARIABLES = {
    "$__rate_interval": "5m",
    "$job": "cosyserve",
    "$instance": ".+",
}


def filled(expression: str) -> str:
    """An expression as Grafana would send it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])
    for mark in DASHBOARD["annotations"]["list"]:
        yield mark["name"], filled(mark["expr"])


@pytest.mark.parametrize(("title", "expression"), [pytest.param(*it) for it in expressions()])
def test_metrics_and_labels_exist(title: str, expression: str) -> None:
    query = parse(expression)
    assert query.metrics
    known = set(TARGET_LABELS)
    for name, labels in query.metrics:
        assert name in SERIES, f"{title}: the server has no {name}"
        assert labels <= SERIES[name] | TARGET_LABELS, f"{title}: {name} has no {labels}"
        known |= SERIES[name]
    assert query.grouped <= known, f"{title}: grouped by {query.grouped - known}"


def test_legends_name_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            query = parse(filled(target["expr"]))
            shown = {part.partition("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
            left = query.grouped or TARGET_LABELS
            assert shown <= left, panel["title"]


def test_promtool_takes_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": expression}
        for number, (_, expression) in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in passes(tool("promtool"), "check", "rules", file)


async def test_what_is_asked_of_the_server_is_on_its_page(stepped: Stepped) -> None:
    asked = {name for _, expression in expressions() for name in parse(expression).names}
    of_server = {name for name in asked if not name.startswith("cosyserve_engine_")}
    async with aiohttp.ClientSession(stepped.server.url) as http, http.get("/metrics") as answer:
        text = await answer.text()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    families |= set(on_page(text))
    for name in of_server:
        family = name
        for suffix in ("_bucket", "_sum", "_count"):
            family = family.removesuffix(suffix)
        assert family in families, name


def test_every_metric_of_ours_is_shown_or_left_out_on_purpose() -> None:
    asked = {name for _, expression in expressions() for name in parse(expression).names}
    asked |= {name.removesuffix("_bucket") for name in asked}
    left_out = {
        "cosyserve_build_info",  # the variables are made of it
        "cosyserve_token_tasks_total",  # speech by token says more
    }
    ours = {it.name for it in full_metrics().documented if "_engine_" not in it.name}
    assert ours - asked == left_out


def test_it_can_be_imported() -> None:
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert all(it["datasource"]["uid"] == "${datasource}" for it in panel["targets"])
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "heatmap"


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
