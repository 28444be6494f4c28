"""Other people's clients: scripts that drive them, run by the Python that has them.

They are installed in `.venv-clients`, from tests/third_party/requirements.txt.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from support.tools.required import ROOT, missing

DRIVERS = ROOT / "tests" / "third_party" / "drivers"


def python() -> Path:
    """The Python that has the clients; skips or fails the test where there is none."""
    found = ROOT / ".venv-clients" / "bin" / "python"
    if not found.exists():
        missing("clients", "no .venv-clients: make it from tests/third_party/requirements.txt")
    return found


async def drive(script: str, *arguments: str | Path, seconds: float = 90) -> Any:
    """Run a driver and give what it printed last, one line of JSON. Fails if it fails."""
    status, out, errors = await run(python(), DRIVERS / script, *arguments, seconds=seconds)
    assert status == 0, f"{script}:\n{errors[-4000:]}"
    return json.loads(out.splitlines()[-1])


async def run(
    *command: str | Path, seconds: float = 90, folder: Path | None = None
) -> tuple[int, str, str]:
    """Run a program to its end, in a folder: its status and what it wrote.

    Raises TimeoutError, with the program killed.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(seconds):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace"), errors.decode(errors="replace")
