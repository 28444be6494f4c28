"""The `cosyserve` command itself."""

import os
import subprocess
import sys

import pytest

from cosyserve.__main__ import main
from cosyserve.version import VERSION

COMMANDS = ("serve", "model", "say", "voices", "bench")


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        sys.exit(main(arguments))
    return stop.value.code


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",), ("-h",)])
def test_help_names_every_command(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == 0
    output = capsys.readouterr().out
    for command in (*COMMANDS, "version"):
        assert f"\n    {command} " in output


@pytest.mark.parametrize("argument", ["version", "--version", "-V"])
def test_version(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(argument) == 0
    assert capsys.readouterr().out == f"cosyserve {VERSION}\n"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("sing") == 2
    assert "'sing'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(command, "--help") == 0
    assert f"cosyserve {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--help",), ("say", "--help")])
def test_a_reader_that_goes_away_is_no_crash(arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "cosyserve", *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


SCRIPT = """
import atexit, sys
from cosyserve.__main__ import main
heavy = ("torch", "numpy", "soundfile", "rich", "aiohttp.web", "cosyserve.engine", "cosyserve.server")
found = lambda: [name for name in sys.modules if name.startswith(heavy)]
atexit.register(lambda: print(found(), "aiohttp" in sys.modules))
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "client"),
    [(["--help"], False), (["say", "--help"], True), (["voices", "-h"], True)],
)
def test_help_imports_nothing_that_the_command_does_not_need(
    arguments: list[str], client: bool
) -> None:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"\n[] {client}\n")
