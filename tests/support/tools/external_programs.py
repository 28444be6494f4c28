"""Programs that some tests run and not every machine has: promtool, nginx, envoy and the linters.

They are looked for in .venv-deploy/bin (made from tests/deploy/requirements.txt), then on the PATH.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.tools.required import ROOT, missing

DEPLOY = ROOT / "deploy"
_PLACES = (str(ROOT / ".venv-deploy" / "bin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin")


def tool(name: str, part: str | None = None) -> str:
    """The program's path; skips the test without it, or fails it where `part` (the name) is required."""
    found = shutil.which(name, path=os.pathsep.join(_PLACES))
    if found is None:
        missing(part or name, f"there is no {name} here")
    return found


def with_places(text: str, places: dict[str, str]) -> str:
    """A configuration with the test's places in the stead of its own. Fails if one of those is gone."""
    for old, new in places.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def passes(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program; what it printed. Fails if it does not exit with 0."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@asynccontextmanager
async def running(*command: str | Path, until: str) -> AsyncIterator[None]:
    """Run a program within the context; it is entered once a line with `until` came on stderr."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(60):
            while not (lines and until in lines[-1]):
                line = await process.stderr.readline()
                assert line, "it ended:\n" + "".join(lines)
                lines.append(line.decode(errors="replace"))
        drained = asyncio.create_task(process.stderr.read())
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    await drained
