"""Notices of secrets that others can read, and of root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cosyserve.server.settings import load_settings
from cosyserve.server.startup import exposure
from cosyserve.server.startup.exposure import exposure_notices


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "_is_root", lambda: False)


def secret_file(folder: Path, mode: int, text: str = "alice=alice-secret\n") -> str:
    path = folder / "secrets"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("mode", "who"), [(0o644, "everybody"), (0o604, "everybody"), (0o640, "its group")]
)
def test_a_token_file_that_others_can_read_is_told_of(tmp_path: Path, mode: int, who: str) -> None:
    path = secret_file(tmp_path, mode)
    (notice,) = exposure_notices(load_settings({"token_file": path}))
    assert notice.startswith(f"token_file: {who}")
    assert path in notice
    assert "alice" not in notice.replace(path, "")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o620])
def test_a_file_of_our_own_is_not(tmp_path: Path, mode: int) -> None:
    assert not [*exposure_notices(load_settings({"token_file": secret_file(tmp_path, mode)}))]


def test_a_group_may_read_what_another_user_owns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, 0o440)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(path).st_uid + 1)
    assert not [*exposure_notices(load_settings({"token_file": path}))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('tokens = ["alice=alice-secret"]', True),
        ('s3_access_key_id = "id"\ns3_secret_access_key = "secret"', True),
        ("max_tasks = 5", False),
    ],
)
def test_a_config_file_counts_where_it_holds_secrets(tmp_path: Path, text: str, told: bool) -> None:
    notices = [*exposure_notices(load_settings({"config": secret_file(tmp_path, 0o644, text)}))]
    assert [notice.partition(":")[0] for notice in notices] == ["config"] * told


@pytest.mark.parametrize(("port", "told"), [(80, False), (1023, False), (1024, True), (0, True)])
def test_root_is_told_of_where_the_port_does_not_need_it(
    monkeypatch: pytest.MonkeyPatch, port: int, told: bool
) -> None:
    monkeypatch.setattr(exposure, "_is_root", lambda: True)
    notices = [*exposure_notices(load_settings({"port": port}))]
    assert len(notices) == told
    assert all("root" in notice for notice in notices)


@pytest.mark.parametrize(
    ("uid", "mapped", "root"),
    [
        (0, "         0          0 4294967295\n", True),
        (0, "         0     100000      65536\n", False),
        (1000, "         0          0 4294967295\n", False),
    ],
)
def test_the_root_of_a_user_namespace_is_none(
    monkeypatch: pytest.MonkeyPatch, uid: int, mapped: str, root: bool
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(Path, "read_text", lambda path: mapped)
    assert exposure._is_root() is root
