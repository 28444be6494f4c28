"""How many files and sockets this process may have open."""

from __future__ import annotations

from contextlib import suppress
from types import ModuleType
from typing import Final

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None

BESIDES: Final = 1024
"""Open files besides the connections that are let in: those being refused, spools, workers, libraries."""


def make_room(max_connections: int) -> str | None:
    """Raise the soft limit of open files to what so many connections need, as far as the hard limit lets.

    Returns a notice for the operator if that is too little, None if it is enough.
    """
    if resource is None:
        return None
    needed = max_connections + BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _covers(soft, needed):
        return None
    wanted = needed if _covers(hard, needed) else hard
    with suppress(OSError, ValueError):  # some systems have a lower limit than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if _covers(soft, needed):
        return None
    return (
        f"max_connections: {max_connections} connections need {needed} open files, and this process "
        f"may have {soft}, enough for about {max(0, soft - BESIDES)}; allowed: fewer connections, or a "
        "higher hard limit of open files (LimitNOFILE, ulimit -Hn)"
    )


def affordable(max_connections: int) -> int:
    """How many of these connections the files that this process may have open suffice for.

    Where files are scarce, connections get half of them.
    """
    if resource is None:
        return max_connections
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if _covers(soft, max_connections + BESIDES):
        return max_connections
    return max(soft - BESIDES, soft // 2)


def _covers(limit: int, needed: int) -> bool:
    assert resource is not None
    return limit == resource.RLIM_INFINITY or limit >= needed
