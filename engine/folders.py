"""The user's folders, where the XDG base directory specification puts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def cache_folder() -> Path:
    """For data that can be computed again. Begins with `~` where there is no home folder."""
    return _or_below_home(user_cache_path, "~/.cache")


def data_folder() -> Path:
    """For data to keep. Begins with `~` where there is no home folder."""
    return _or_below_home(user_data_path, "~/.local/share")


def expanded(path: Path) -> Path:
    """The path with `~` as the home folder. Raises ValueError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(
            "there is no home folder (HOME is not set); allowed: a path that does not begin with ~"
        ) from None


def _or_below_home(find: Callable[[str], Path], otherwise: str) -> Path:
    try:
        return find("cosyserve")
    except RuntimeError:  # no home folder: whoever needs the path finds out by `expanded`
        return Path(otherwise) / "cosyserve"
