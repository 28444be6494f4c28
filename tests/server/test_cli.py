"""`cosyserve serve`: help, wrong settings, and what it hands to the server."""

from __future__ import annotations

import os
import re
import sys
from types import ModuleType

import pytest

from cosyserve.server.cli import build_parser, serve
from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import default_text, flag
from cosyserve.server.settings.sources import OLD_NAMES, environment_name


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What `run` of a stand-in for the server was given."""
    for name in [name for name in os.environ if name.startswith("COSYSERVE_")]:
        monkeypatch.delenv(name)
    given: list[Settings] = []

    def run(settings: Settings) -> int:
        given.append(settings)
        return 7

    app = ModuleType("cosyserve.server.app")
    app.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cosyserve.server.app", app)
    return given


def test_settings_are_handed_to_the_server(handed: list[Settings]) -> None:
    flags = ["--port", "0", "--token", "a=0123456789", "--token", "abcdefghi", "--allow-open"]
    assert serve([*flags, "--max-upload-bytes", "2MiB"]) == 7
    (settings,) = handed
    assert settings.port == 0
    assert settings.allow_open
    assert [token.name for token in settings.tokens] == ["a", "default"]
    assert settings.max_upload_bytes == 2 * 1024 * 1024


def test_a_switch_can_be_turned_off(
    handed: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSYSERVE_REFERENCES_SHARED", "true")
    serve([])
    serve(["--no-references-shared"])
    assert [settings.references_shared for settings in handed] == [True, False]


def test_wrong_settings_are_told_readably(
    handed: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve(["--port", "x", "--max-tasks", "0", "--token", "hunter2"]) == 2
    assert handed == []
    error = capsys.readouterr().err
    assert "  port: 'x' is not usable; allowed: a whole number from 0 to 65535\n" in error
    assert "  max_tasks: '0'" in error
    assert "Traceback" not in error
    assert "pydantic" not in error
    assert "hunter2" not in error


@pytest.mark.parametrize("flags", [["--prot", "1"], ["--max-task", "1"], ["stray"]])
def test_unknown_flags_are_refused(handed: list[Settings], flags: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        serve(flags)
    assert caught.value.code == 2
    assert handed == []


def test_help_shows_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = re.sub(r"-\n +", "-", build_parser().format_help())
    words = " ".join(text.split())
    for name, field in Settings.model_fields.items():
        assert re.search(rf"^  {flag(name)}[ ,]", text, re.MULTILINE), name
        assert f"[default: {default_text(field)}; {environment_name(name)}]" in words


def test_flags_with_old_names_are_taken_and_not_shown(handed: list[Settings]) -> None:
    for old, new in OLD_NAMES.items():
        assert f"{flag(old)} " not in build_parser().format_help()
        assert serve([flag(old), "/somewhere"]) == 7
        assert str(getattr(handed[-1], new)) == "/somewhere"


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, build_parser().format_help().splitlines())) <= 80


def test_help_needs_no_settings(handed: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_PORT", "wrong")
    with pytest.raises(SystemExit) as caught:
        serve(["--help"])
    assert caught.value.code == 0
