"""What exposes this server's machine or secrets more than it needs to: told to the operator at the start."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cosyserve.engine.folders import expanded

from ..settings import Settings

_SECRET_SETTINGS: Final = frozenset({"tokens", "s3_secret_access_key"})
_FIRST_FREE_PORT: Final = 1024
"""Lower ones need root or CAP_NET_BIND_SERVICE."""


def exposure_notices(settings: Settings) -> Iterator[str]:
    """A notice for each file with secrets that other users can read, and for running as root in vain."""
    for name, path in _secret_files(settings):
        if (who := _other_readers(path)) is not None:
            yield (
                f"{name}: {who} can read {str(path)!r}, which holds secrets; allowed: chmod 0400, "
                "with this server's user as the owner"
            )
    if _is_root() and settings.port not in range(1, _FIRST_FREE_PORT):
        yield (
            f"the server runs as root, which port {settings.port} does not need: a fault in it would "
            "affect the whole machine; allowed: an unprivileged user (in a container: USER, runAsUser)"
        )


def _secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Files that hold secrets, with the names of the settings that name them."""
    if settings.token_file is not None:
        yield "token_file", expanded(settings.token_file)
    if settings.tls_key is not None:
        yield "tls_key", settings.tls_key
    if settings.config is not None:
        config = expanded(settings.config)
        if _SECRET_SETTINGS & tomllib.loads(config.read_text(encoding="utf-8")).keys():
            yield "config", config


def _other_readers(path: Path) -> str | None:
    """Who besides this process's user can read the file, in words; None for nobody.

    A group counts only where the file is our own: else the group may be how we read it, as with a Secret
    of Kubernetes.
    """
    try:
        about = path.stat()
    except OSError:  # gone since the settings were read
        return None
    if about.st_mode & stat.S_IROTH:
        return "everybody on this machine"
    if about.st_mode & stat.S_IRGRP and about.st_uid == os.geteuid():
        return "its group"
    return None


def _is_root() -> bool:
    """Whether this process is the machine's root; that of a user namespace is an ordinary user outside."""
    if os.geteuid() != 0:
        return False
    try:
        inside, outside, _ = Path("/proc/self/uid_map").read_text().split()[:3]
    except (OSError, ValueError):  # no Linux, or no /proc
        return True
    return inside == outside == "0"
