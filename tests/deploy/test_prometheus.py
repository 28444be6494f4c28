"""deploy/prometheus: the alerts ask for what the server exposes, and fire when they should."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import flag
from support.peers.exposed_metrics import TARGET_LABELS, full_metrics, series_of
from support.tools.external_programs import DEPLOY, passes, tool
from support.tools.promql import parse

FOLDER = DEPLOY / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
SERIES = series_of(full_metrics())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_metrics_and_labels_exist(rule: dict[str, Any]) -> None:
    query = parse(rule["expr"])
    known = set(TARGET_LABELS)
    for name, labels in query.metrics:
        assert name in SERIES, f"the server has no {name}"
        assert labels <= SERIES[name] | TARGET_LABELS
        known |= SERIES[name]
    assert query.grouped <= known
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert {"summary", "description"} == set(rule["annotations"])
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert shown <= (query.grouped or TARGET_LABELS)


def test_flags_in_the_texts_exist() -> None:
    known = {flag(name) for name in Settings.model_fields}
    named = {word for rule in RULES for word in re.findall(r"--[a-z-]+", str(rule["annotations"]))}
    assert named
    assert named <= known


def test_series_of_the_rule_tests_exist() -> None:
    for test in TESTS:
        for given in test["input_series"]:
            ((name, labels),) = parse(given["series"]).metrics
            assert labels <= SERIES[name] | TARGET_LABELS, given["series"]


@pytest.mark.parametrize("fires", [True, False])
def test_every_alert_is_tested_to_fire_and_not_to(fires: bool) -> None:
    tested = {
        each["alertname"]
        for test in TESTS
        for each in test["alert_rule_test"]
        if bool(each.get("exp_alerts")) is fires
    }
    assert tested == {rule["alert"] for rule in RULES}


def test_promtool_runs_the_rule_tests() -> None:
    promtool = tool("promtool")
    passes(promtool, "check", "rules", "alerts.yaml", cwd=FOLDER)
    passes(promtool, "check", "config", "prometheus.yml", cwd=FOLDER)
    assert "SUCCESS" in passes(promtool, "test", "rules", "alerts_test.yaml", cwd=FOLDER)
