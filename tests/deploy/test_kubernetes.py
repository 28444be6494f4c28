"""deploy/kubernetes: the manifests fit each other, the server's settings, and Kubernetes' schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cosyserve.server.settings import Settings
from cosyserve.server.settings.sources import environment_name
from support.tools.external_programs import DEPLOY, passes, tool

FOLDER = DEPLOY / "kubernetes"
VARIABLES = {environment_name(name) for name in Settings.model_fields}
CLOSE_SECONDS = 15

Manifest = dict[str, Any]


def read(*parts: str) -> Manifest:
    found = yaml.safe_load(FOLDER.joinpath(*parts).read_text())
    assert isinstance(found, dict)
    return found


def settings_of(folder: str) -> dict[str, str]:
    (generator,) = read(folder, "kustomization.yaml")["configMapGenerator"]
    return dict(line.split("=", 1) for line in generator["literals"])


POD = read("base", "deployment.yaml")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.parametrize("folder", ["base", "gpu"])
def test_every_variable_is_a_setting(folder: str) -> None:
    assert set(settings_of(folder)) <= VARIABLES


def test_the_pod_outlives_its_drain() -> None:
    waits = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    drains = float(settings_of("base")["COSYSERVE_DRAIN_GRACE"])
    assert POD["terminationGracePeriodSeconds"] >= waits + drains + CLOSE_SECONDS
    # The probe has told the balancers before the server refuses.
    assert waits > 2 * CONTAINER["readinessProbe"]["periodSeconds"]


def test_probes_and_ports_are_those_of_the_server() -> None:
    assert {port["name"]: port["containerPort"] for port in CONTAINER["ports"]} == {
        "http": 8000,
        "metrics": int(settings_of("base")["COSYSERVE_METRICS_ADDRESS"].rpartition(":")[2]),
    }
    assert Settings.model_fields["port"].default == 8000
    paths = {
        name: CONTAINER[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    named = {port["targetPort"] for port in read("base", "service.yaml")["spec"]["ports"]}
    monitor = read("monitoring", "podmonitor.yaml")["spec"]
    named |= {each["port"] for each in monitor["podMetricsEndpoints"]}
    policy = read("base", "networkpolicy.yaml")["spec"]
    named |= {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert named == {"http", "metrics"}


def test_tokens_are_a_secret_and_nothing_is_written_outside_volumes() -> None:
    mounts = {each["name"]: each for each in CONTAINER["volumeMounts"]}
    file = settings_of("base")["COSYSERVE_TOKEN_FILE"]
    assert file.startswith(mounts["tokens"]["mountPath"] + "/")
    (secret,) = (each["secret"] for each in POD["volumes"] if each["name"] == "tokens")
    assert secret["secretName"] == "cosyserve-tokens"
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    assert {each["name"] for each in POD["volumes"]} == set(mounts)
    for path in FOLDER.rglob("*.yaml"):
        assert "kind: Secret" not in path.read_text(), path


def test_selectors_have_one_label() -> None:
    (labels,) = read("base", "kustomization.yaml")["labels"]
    ours = labels["pairs"]
    assert labels["includeSelectors"] is True
    selected = [
        read("base", "disruption.yaml")["spec"]["selector"],
        read("base", "networkpolicy.yaml")["spec"]["podSelector"],
        read("monitoring", "podmonitor.yaml")["spec"]["selector"],
        POD["topologySpreadConstraints"][0]["labelSelector"],
    ]
    assert all(each == {"matchLabels": ours} for each in selected)
    assert read("monitoring", "podmonitor.yaml")["spec"]["jobLabel"] in ours


def test_the_gpu_variant_asks_for_a_gpu_and_patches_what_is_there() -> None:
    pod = read("gpu", "deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    resources = container["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "1"
    assert container["name"] == CONTAINER["name"]
    (model,) = (each for each in container["volumeMounts"] if each["name"] == "model")
    assert settings_of("gpu")["COSYSERVE_MODEL"] == model["mountPath"]
    claims = [each.get("persistentVolumeClaim", {}).get("claimName") for each in pod["volumes"]]
    assert read("gpu", "model.yaml")["metadata"]["name"] in claims


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """The GPU variant with every component, as kubectl builds it."""
    away = Path(*[".."] * (len(tmp_path.resolve().parts) - 1), *FOLDER.resolve().parts[1:])
    whole = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(away / "gpu")],
        "components": [str(away / "monitoring"), str(away / "autoscaling")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    built = tmp_path / "built.yaml"
    built.write_text(passes(tool("kubectl"), "kustomize", tmp_path))
    return built


def test_it_builds_and_fits_the_schemas(everything: Path) -> None:
    built = {each["kind"]: each for each in yaml.safe_load_all(everything.read_text())}
    assert set(built) == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy",
        "PersistentVolumeClaim", "PodDisruptionBudget", "PodMonitor", "Service", "ServiceAccount",
    }  # fmt: skip
    pod = built["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    assert container["envFrom"][0]["configMapRef"]["name"] == built["ConfigMap"]["metadata"]["name"]
    assert built["ConfigMap"]["data"]["COSYSERVE_DRAIN_GRACE"] == "120"
    assert built["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "cosyserve"
    passes(tool("kubernetes-validate"), "--strict", "--quiet", everything)
