"""The memory limits of deploy/ hold what the default settings let clients ask for."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from cosyserve.protocol.parameters import SAMPLE_RATES
from cosyserve.server.settings import load_settings
from support.tools.external_programs import DEPLOY, ROOT

MIB: Final = 1 << 20
GIB: Final = 1 << 30

# Measured, see docs/deploy.md.
_SERVER: Final = 112 * MIB
_WORKER: Final = 260 * MIB
_MOST_WORKERS: Final = 8
_CONNECTION: Final = 18 << 10
_SESSION: Final = MIB
_ENCODER: Final = round(0.75 * MIB)
_FLAC_ENCODER: Final = round(7.1 * MIB)
_COPIES: Final = 3


def needed() -> int:
    """Bytes that the defaults can need with the embedded voice, everything at once."""
    settings = load_settings({})
    return (
        _SERVER
        + _MOST_WORKERS * _WORKER
        + settings.max_connections * _CONNECTION
        + settings.max_tasks * (_SESSION + _ENCODER)
        + settings.encode_threads * len(SAMPLE_RATES) * _FLAC_ENCODER
        + settings.max_uploads * _COPIES * int(settings.max_upload_bytes)
    )


def read(*path: str) -> Any:
    return yaml.safe_load(DEPLOY.joinpath(*path).read_text())


def limits(compose: str, unit: str, kubernetes: str) -> list[int]:
    """What the three say, in bytes."""
    (maximum,) = re.findall(r"^MemoryMax=(\d+)G$", (DEPLOY / "systemd" / unit).read_text(), re.M)
    (container,) = read("kubernetes", kubernetes, "deployment.yaml")["spec"]["template"]["spec"][
        "containers"
    ]
    told = [
        read(compose)["services"]["cosyserve"]["mem_limit"].removesuffix("g"),
        maximum,
        container["resources"]["limits"]["memory"].removesuffix("Gi"),
    ]
    return [int(each) * GIB for each in told]


def test_every_limit_holds_what_the_defaults_can_need() -> None:
    for limit in limits("compose.yaml", "cosyserve.service", "base"):
        assert 1.1 * needed() <= limit <= 1.6 * needed()


def test_the_gpu_variants_agree_and_have_more() -> None:
    found = limits("compose.gpu.yaml", "cosyserve.service.d/gpu.conf", "gpu")
    assert len(set(found)) == 1
    assert found[0] > needed()


def test_the_guide_has_the_sum() -> None:
    whole = f"{needed() / GIB:.1f} GiB"
    assert whole in (ROOT / "docs" / "deploy.md").read_text()


def test_a_worker_killed_for_memory_does_not_end_the_server() -> None:
    assert "OOMPolicy=continue" in (DEPLOY / "systemd" / "cosyserve.service").read_text()
