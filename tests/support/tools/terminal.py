"""What a reader does with a page: paste its blocks, in order, into terminals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from .documents import ROOT, Block

INSTALLS: Final = re.compile(r"\bpip install\b|-m venv\b")
"""Lines that are left out: the tests' own environment is installed already."""
PORTS: Final = re.compile(r"\b800[0-9]\b")
"""Ports that are replaced by free ones: on the machine of a test they may be taken."""
ANNOUNCEMENT: Final = "listening on "
_DONE: Final = "(the block is done)"


def checkout(folder: Path) -> None:
    """Make the folder what `make` leaves of a checkout: its makefile and an environment with cosyserve."""
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, command in (("python", ""), ("cosyserve", "-m cosyserve ")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {command}"$@"\n', encoding="utf-8")
        program.chmod(0o755)
    (folder / ".venv" / ".run").touch()  # installed, as far as make can tell


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Desk:
    """A folder, a terminal for what ends, and another for what keeps running.

    activated: whether the environment's programs are found by their names.
    """

    def __init__(self, folder: Path, *, activated: bool) -> None:
        self._folder = folder
        self._ports: dict[str, str] = {}
        self._running: list[subprocess.Popen[str]] = []
        self._kept: subprocess.Popen[str] | None = None
        port = self._port("8000")
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("COSYSERVE_", "XDG_"))},
            "HOME": str(folder / "home"),
            "COSYSERVE_PORT": port,
            "COSYSERVE_URL": f"http://127.0.0.1:{port}",
        }
        if activated:
            path = self._environment.get("PATH", os.defpath)
            self._environment["PATH"] = f"{folder}/.venv/bin{os.pathsep}{path}"
        self._shell = self._bash("-e", "-u", "-o", "pipefail")

    def paste(self, block: Block) -> None:
        """Do what the page asks for. Fails if a command fails.

        A block that keeps running does so until the next such block takes its terminal.
        """
        text = PORTS.sub(lambda found: self._port(found[0]), block.text)
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if not INSTALLS.search(line))
        if block.marker == "file":
            (self._folder / block.detail).write_text(text, encoding="utf-8")
        elif block.marker == "keeps running":
            if self._kept is not None:
                self._end(self._kept)
            self._kept = self.serve(text)
        elif block.language == "python":
            (self._folder / "block.py").write_text(text, encoding="utf-8")
            self._run(".venv/bin/python block.py", block)
        else:
            self._run(text, block)

    def serve(self, line: str) -> subprocess.Popen[str]:
        """Run a server in a terminal of its own; it listens when this returns."""
        server = self._bash("-c", line)
        _read_until(server.stdout, ANNOUNCEMENT, line)
        return server

    def leave(self) -> None:
        """End everything."""
        while self._running:
            self._end(self._running[-1])

    def _end(self, process: subprocess.Popen[str]) -> None:
        self._running.remove(process)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate()

    def _run(self, text: str, block: Block) -> None:
        assert self._shell.stdin is not None
        (self._folder / "block.sh").write_text(text, encoding="utf-8")
        self._shell.stdin.write(f". ./block.sh </dev/null\necho '{_DONE}'\n")
        self._shell.stdin.flush()
        _read_until(self._shell.stdout, _DONE, str(block))

    def _bash(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", *arguments],
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def _port(self, written: str) -> str:
        return self._ports.setdefault(written, str(free_port()))


def _read_until(stream: IO[str] | None, begin: str, what: str) -> None:
    """Read up to a line that begins so. Fails if the program ends before."""
    assert stream is not None
    said = []
    for line in stream:
        said.append(line)
        if line.startswith(begin):
            return
    raise AssertionError(f"{what} failed:\n{''.join(said)}")


@contextmanager
def desk(folder: Path, *, activated: bool) -> Iterator[Desk]:
    """A desk at which everything ends with the context."""
    checkout(folder)
    made = Desk(folder, activated=activated)
    try:
        yield made
    finally:
        made.leave()
