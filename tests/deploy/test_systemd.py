"""deploy/systemd: the unit is sound, hardened, and fits the server's settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cosyserve.server.settings import Settings
from cosyserve.server.settings.sources import environment_name
from support.tools.external_programs import DEPLOY, passes, tool

UNIT = DEPLOY / "systemd" / "cosyserve.service"
GPU = DEPLOY / "systemd" / "cosyserve.service.d" / "gpu.conf"
EXPOSURE = 15  # tenths; systemd calls up to 2.0 well protected


def lines_of(path: Path, key: str) -> list[str]:
    """Every value of a key in [Service]."""
    return re.findall(rf"^{key}=(.*)$", path.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("path", [UNIT, GPU], ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    known = {environment_name(name) for name in Settings.model_fields}
    named = {line.partition("=")[0] for line in lines_of(path, "Environment")}
    assert named - {"HOME", "XDG_CACHE_HOME"} <= known


def test_it_is_left_alone_until_it_has_drained() -> None:
    (stop,) = lines_of(UNIT, "TimeoutStopSec")
    grace = dict(line.split("=") for line in lines_of(UNIT, "Environment"))["COSYSERVE_DRAIN_GRACE"]
    assert float(stop) >= float(grace) + 10
    assert lines_of(UNIT, "KillMode") == ["mixed"]


def test_caches_are_where_the_unit_may_write() -> None:
    places = dict(line.split("=") for line in lines_of(UNIT, "Environment"))
    (cache,) = lines_of(UNIT, "CacheDirectory")
    (state,) = lines_of(UNIT, "StateDirectory")
    assert places["XDG_CACHE_HOME"] == f"/var/cache/{cache}"
    assert places["HOME"] == f"/var/lib/{state}"


def test_tokens_are_a_credential() -> None:
    (credential,) = lines_of(UNIT, "LoadCredential")
    assert f"COSYSERVE_TOKEN_FILE=%d/{credential.partition(':')[0]}" in lines_of(
        UNIT, "Environment"
    )
    assert "--token" not in lines_of(UNIT, "ExecStart")[0]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there: the check looks for it."""
    (command,) = lines_of(UNIT, "ExecStart")
    made = tmp_path / UNIT.name
    made.write_text(UNIT.read_text().replace(command.split()[0], "/bin/true"))
    return made


def test_systemd_takes_it(unit: Path) -> None:
    assert passes(tool("systemd-analyze"), "verify", "--man=no", unit) == ""


def test_it_is_hardened(unit: Path) -> None:
    command = (tool("systemd-analyze"), "security", "--offline=yes", "--no-pager")
    passes(*command, f"--threshold={EXPOSURE}", unit)


def test_systemd_takes_it_with_a_gpu(unit: Path) -> None:
    folder = unit.with_name(unit.name + ".d")
    folder.mkdir()
    (folder / GPU.name).write_text(GPU.read_text())
    assert passes(tool("systemd-analyze"), "verify", "--man=no", unit) == ""
