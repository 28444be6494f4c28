"""deploy/: the Dockerfile, what it is given, and the compose files."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cosyserve.server.settings import Settings
from cosyserve.server.settings.sources import environment_name
from support.tools.external_programs import DEPLOY, passes, tool
from support.tools.required import ROOT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
VARIABLES = {environment_name(name) for name in Settings.model_fields}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def compose(name: str) -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / name).read_text())
    assert isinstance(found, dict)
    return found


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_it_runs_as_nobody_in_both_targets() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    by_name = {re.search(r"AS (\w+)", stage.splitlines()[0]): stage for stage in stages}
    named = {match[1]: stage for match, stage in by_name.items() if match}
    assert set(named) == {"wheel", "base", "cpu", "cuda"}
    for target in ("cpu", "cuda"):
        assert named[target].strip().splitlines()[-1] == "USER 10001:10001"
    assert list(named)[-1] == "cpu"  # what is built where no target is named
    assert "HEALTHCHECK" in named["base"]
    assert "/healthz" in named["base"]


def test_its_extras_and_variables_exist() -> None:
    for extras in re.findall(r"^ARG EXTRAS=(\S+)", DOCKERFILE, flags=re.MULTILINE):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert set(re.findall(r"COSYSERVE_\w+", DOCKERFILE)) <= VARIABLES


def test_only_what_the_wheel_needs_is_sent_to_the_builder() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    packages = {folder.parent.name for folder in ROOT.glob("*/__init__.py")}
    files = {"pyproject.toml", "setup.py", PROJECT["readme"], *PROJECT["license-files"]}
    assert kept == packages | files | {"src"}
    for secret in (".git", ".env", "deploy/secrets/tokens"):
        assert not any(fnmatch.fnmatch(secret, name) for name in kept)


def test_compose_gives_the_server_what_it_has() -> None:
    whole = compose("compose.yaml")
    server = whole["services"]["cosyserve"]
    assert set(server["environment"]) <= VARIABLES
    assert set(compose("compose.gpu.yaml")["services"]["cosyserve"]["environment"]) <= VARIABLES
    assert server["environment"]["COSYSERVE_TOKEN_FILE"] == f"/run/secrets/{server['secrets'][0]}"
    assert server["tmpfs"] == ["/tmp:exec"]  # Docker's own choice would be noexec
    drain = float(server["environment"]["COSYSERVE_DRAIN_GRACE"])
    assert seconds(server["stop_grace_period"]) > drain
    address = server["environment"]["COSYSERVE_METRICS_ADDRESS"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"cosyserve:{address.rpartition(':')[2]}"]


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    services = compose("compose.yaml")["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert all((DEPLOY / source).exists() for source in mounts if source.startswith("."))
    providers = DEPLOY / "grafana" / "provisioning" / "dashboards" / "cosyserve.yaml"
    (provider,) = yaml.safe_load(providers.read_text())["providers"]
    folder = Path(provider["options"]["path"])
    assert folder == Path(mounts["./grafana/dashboard.json"]).parent
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == mounts["./grafana/dashboard.json"]
    sources = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_fit_their_schema(name: str) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    passes(tool("check-jsonschema"), *schema, DEPLOY / name)


def test_hadolint_finds_nothing() -> None:
    assert passes(tool("hadolint"), DEPLOY / "Dockerfile") == ""


def test_yamllint_finds_nothing() -> None:
    assert (
        passes(tool("yamllint"), "--strict", "--config-file", DEPLOY / "yamllint.yaml", DEPLOY)
        == ""
    )


def test_the_wheel_gets_every_file_that_is_served() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = config["tool"]["setuptools"]["package-data"]
    folders = {name.removeprefix("cosyserve.").replace(".", "/"): name for name in data}
    for package in ("protocol", "engine", "server", "clients"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix not in (".yaml", ".html", ".css", ".js", ".svg"):
                continue
            name = str(path.relative_to(ROOT))
            [folder] = [each for each in folders if name.startswith(f"{each}/")]
            within = name.removeprefix(f"{folder}/")
            assert any(fnmatch.fnmatch(within, each) for each in data[folders[folder]]), name
