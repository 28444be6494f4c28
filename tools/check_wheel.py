"""Builds the source distribution and a wheel from it, installs that elsewhere and uses it like a newcomer.

`python tools/check_wheel.py`: exits with 0 if the source distribution holds every file of the repository, the
server of the wheel serves its page, its contracts and speech, and every command prints its help.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    "/",
    "/page/app.js",
    "/docs",
    "/docs/openapi.yaml",
    "/docs/asyncapi.yaml",
    "/version",
    "/readyz",
)
GROUPS = ((), ("model",))
"""What has commands below it."""
ANNOUNCEMENT = "listening on "
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTHON", "COSYSERVE"))
}
"""Without what would lead to this tree."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="cosyserve-wheel-") as folder:
        check(Path(folder))
    return 0


def check(folder: Path) -> None:
    """Raises CalledProcessError, OSError or AssertionError where something is missing."""
    source = folder / "source"
    files = check_out(source)
    # By default `build` makes the wheel of the source distribution, unpacked.
    run(sys.executable, "-m", "build", "--outdir", folder, source)
    [wheel] = folder.glob("*.whl")
    [sdist] = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert not files - held, f"not in {sdist.name}: {sorted(files - held)}"
    run(sys.executable, "-m", "venv", folder / "env")
    binaries = folder / "env" / "bin"
    run(binaries / "pip", "install", f"{wheel}[embedded,bench]")
    command = binaries / "cosyserve"
    commands = [(*group, name) for group in GROUPS for name in listed(command, *group, cwd=folder)]
    for words in commands:
        run(command, *words, "--help", cwd=folder)
    with served(command, folder) as url:
        for page in PAGES:
            with urllib.request.urlopen(url + page, timeout=10) as answer:
                assert answer.read(), f"{page} is empty"
        sound = folder / "hello.wav"
        run(command, "say", "Hello there.", "--url", url, "--output", sound, cwd=folder)
        with wave.open(str(sound)) as file:
            assert file.getnframes() > 0, "no speech"
    print(f"{sdist.name}: {len(files)} files; {wheel.name}: {len(PAGES)} pages, "
          f"{len(commands)} commands, speech")  # fmt: skip


def check_out(folder: Path) -> set[str]:
    """Copy what is or would be committed; the files' names. Links become files that name their targets,
    as git itself leaves them where it may make none."""
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    files = {name for name in listing.split("\0") if name and (ROOT / name).exists()}
    for name in files:
        here, there = ROOT / name, folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            there.write_text(str(here.readlink()))
        else:
            shutil.copy2(here, there)
    return files


def listed(command: Path, *words: str, cwd: Path) -> list[str]:
    """The commands that a help lists, one a line."""
    names = re.findall(r"^ +([a-z]\w*)  ", run(command, *words, "--help", cwd=cwd), re.MULTILINE)
    assert names, f"{' '.join(words)} --help lists no command"
    return names


@contextmanager
def served(command: Path, folder: Path) -> Iterator[str]:
    """A server of the wheel on a free port; its address."""
    arguments = ["serve", "--port", "0", "--references", str(folder / "references")]
    arguments += ["--log-level", "warning"]
    with subprocess.Popen(
        [command, *arguments], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
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


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What it printed. Raises CalledProcessError, after printing what it said."""
    ran = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
        ran.check_returncode()
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
