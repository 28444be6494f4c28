"""`cosyserve serve`: help, wrong settings, what it hands to the server; and `cosyserve model`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cosyserve.server.cli import build_parser, model, serve
from cosyserve.server.settings import Settings
from cosyserve.server.settings.describe import default_text, flag
from cosyserve.server.settings.sources import OLD_NAMES, environment_name
from support.engines import tiny_checkpoint, tiny_checkpoint3


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.build(tmp_path_factory.mktemp("checkpoint"))


def test_check(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", str(whole), "--values"]) == 0
    assert "complete: nothing is missing" in capsys.readouterr().out


def test_check_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", str(tmp_path)]) == 1
    assert "problem: llm.pt: missing" in capsys.readouterr().out


def test_convert(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "converted"
    assert model(["convert", str(whole), str(target)]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert model(["check", str(target)]) == 0


def test_a_variant_of_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(tiny_checkpoint3.build(tmp_path / "third"))
    assert model(["check", source, "--model-variant", "rl"]) == 0
    assert "llm.rl.pt" in capsys.readouterr().out
    target = str(tmp_path / "converted")
    assert model(["convert", source, target, "--model-variant", "rl"]) == 0
    assert model(["check", target]) == 1
    assert "variant rl, where base is asked for" in capsys.readouterr().out
    assert model(["check", target, "--model-variant", "rl"]) == 0


def test_convert_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["convert", str(tmp_path), str(tmp_path / "converted")]) == 1
    said = capsys.readouterr()
    assert "cosyserve model: llm.pt: missing\n" in said.err
    assert said.out == ""


def test_an_id_without_a_revision(capsys: pytest.CaptureFixture[str]) -> None:
    assert model(["check", "someone/model"]) == 1
    assert "needs a revision" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "code"), [([], 2), (["paint"], 2), (["--help"], 0)])
def test_usage(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        model(argv)
    assert stop.value.code == code
    said = capsys.readouterr()
    assert "usage: cosyserve model" in (said.err if code else said.out)
