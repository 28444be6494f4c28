"""The user's folders, where the XDG base directory specification puts them."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path | None:
    """The user's home folder; None without one: HOME is not set and the user has no passwd entry."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """For data that can be computed again. Begins with `~` where there is no home folder."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def data_folder() -> Path:
    """For data to keep. Begins with `~` where there is no home folder."""
    return _user_folder("XDG_DATA_HOME", ".local/share")


def expanded(path: Path) -> Path:
    """The path with `~` as the home folder. Raises ValueError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(
            "there is no home folder (HOME is not set); allowed: a path that does not begin with ~"
        ) from None


def _user_folder(variable: str, fallback: str) -> Path:
    """`variable` counts only as an absolute path, as the specification says."""
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else (home() or Path("~")) / fallback) / "cosyserve"
