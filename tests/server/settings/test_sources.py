"""Names that settings had in earlier releases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cosyserve.server.settings import Settings, SettingsError, load_settings, sources
from cosyserve.server.settings.sources import OLD_NAMES

NOTICE = "voice_cache: this is the old name of voice_folder; use voice_folder in TOML"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COSYSERVE_")]:
        monkeypatch.delenv(name)


def old_name_notices(settings: Settings) -> list[str]:
    return [notice for notice in settings.notices if "is the old name of" in notice]


def test_old_names_are_no_settings_and_lead_to_some() -> None:
    assert not OLD_NAMES.keys() & Settings.model_fields.keys()
    assert set(OLD_NAMES.values()) <= Settings.model_fields.keys()


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_an_old_name_works_everywhere_and_is_told_once(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {}
    if source == "flag":
        flags = {"voice_cache": "/voices"}
    elif source == "environment":
        monkeypatch.setenv("COSYSERVE_VOICE_CACHE", "/voices")
    else:
        (tmp_path / "c.toml").write_text('voice_cache = "/voices"\n')
        flags = {"config": str(tmp_path / "c.toml")}
    settings = load_settings(flags)
    assert settings.voice_folder == Path("/voices")
    (notice,) = old_name_notices(settings)
    assert notice.startswith(NOTICE)
    assert "--voice-folder" in notice
    assert "COSYSERVE_VOICE_FOLDER" in notice


def test_new_names_have_no_notice() -> None:
    assert old_name_notices(load_settings({"voice_folder": "/voices"})) == []


def test_an_old_name_has_the_strength_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSYSERVE_VOICE_FOLDER", "/environment")
    assert load_settings({"voice_cache": "/flag"}).voice_folder == Path("/flag")
    (tmp_path / "c.toml").write_text('voice_cache = "/file"\n')
    config = {"config": str(tmp_path / "c.toml")}
    assert load_settings(config).voice_folder == Path("/environment")


def test_the_new_name_wins_over_the_old_one_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_VOICE_FOLDER", "/new")
    monkeypatch.setenv("COSYSERVE_VOICE_CACHE", "/old")
    settings = load_settings()
    assert settings.voice_folder == Path("/new")
    assert len(old_name_notices(settings)) == 1


def test_a_wrong_value_is_told_with_the_variable_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "OLD_NAMES", {"listen_port": "port"})
    monkeypatch.setenv("COSYSERVE_LISTEN_PORT", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    (line,) = caught.value.lines
    assert line.startswith("port: 'x' from COSYSERVE_LISTEN_PORT is not usable; allowed: ")
