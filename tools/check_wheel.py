"""Builds the wheel, installs it into a fresh environment outside the tree, and uses it as a newcomer does.

`python tools/check_wheel.py`: exits with 0 if the server of the wheel serves its page, its contracts and
speech, and every command prints its help.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ("/", "/docs", "/docs/openapi.yaml", "/docs/asyncapi.yaml", "/version", "/readyz")
COMMANDS = ("serve", "say", "voices", "model", "bench")
ANNOUNCEMENT = "listening on "


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="cosyserve-wheel-") as folder:
        check(Path(folder))
    return 0


def check(folder: Path) -> None:
    """Raises CalledProcessError, OSError or AssertionError where something is missing."""
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # setuptools packs what lies there
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", folder / "env")
    binaries = folder / "env" / "bin"
    run(binaries / "pip", "install", f"{wheel}[embedded,bench]")
    command = binaries / "cosyserve"
    for name in COMMANDS:
        run(command, name, "--help", cwd=folder)
    run(command, "model", "check", "--help", cwd=folder)
    with served(command, folder) as url:
        for page in PAGES:
            with urllib.request.urlopen(url + page, timeout=10) as answer:
                assert answer.read(), f"{page} is empty"
        sound = folder / "hello.wav"
        run(command, "say", "Hello there.", "--url", url, "--output", sound, cwd=folder)
        with wave.open(str(sound)) as file:
            assert file.getnframes() > 0, "no speech"
    print(f"{wheel.name}: {len(PAGES)} pages, {len(COMMANDS)} commands, speech")


@contextmanager
def served(command: Path, folder: Path) -> Iterator[str]:
    """A server of the wheel on a free port; its address."""
    arguments = ["serve", "--port", "0", "--references", folder / "references"]
    arguments += ["--log-level", "warning"]
    with subprocess.Popen(
        [command, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if line.startswith(ANNOUNCEMENT):
                    yield line.removeprefix(ANNOUNCEMENT).strip()
                    break
            else:
                raise AssertionError("the server ended before it announced its address")
        finally:
            server.terminate()
            server.stdout.read()


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run it quietly. Raises CalledProcessError, after printing what it said."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if ran.returncode:
        print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
        ran.check_returncode()


if __name__ == "__main__":
    sys.exit(main())
