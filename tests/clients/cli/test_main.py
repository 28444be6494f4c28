"""The `cosyserve` command itself."""

import os
import subprocess
import sys

import pytest

from cosyserve.__main__ import main
from cosyserve.version import VERSION


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sys.exit(main(arguments))
    assert not stop.value.code
    output = capsys.readouterr().out
    for command in ("serve", "say", "voices", "bench", "version"):
        assert f"\n    {command} " in output


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["-V"]])
def test_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sys.exit(main(arguments))
    assert not stop.value.code
    assert capsys.readouterr().out == f"cosyserve {VERSION}\n"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sing"])
    assert stop.value.code == 2
    assert "invalid choice: 'sing'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "say", "voices", "bench"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sys.exit(main([command, "--help"]))
    assert stop.value.code == 0
    assert f"cosyserve {command}" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "cosyserve", "version"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from cosyserve.__main__ import main; main(['help']);"
        "print(sorted({'aiohttp', 'numpy', 'pydantic', 'websockets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("\n[]\n")
