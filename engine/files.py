"""Files and folders that are whole or absent, whenever the process or the machine stops."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp"
"""Suffix of what is being written; the names also begin with a dot. A crash leaves such names behind."""

STALE_SECONDS: Final = 3600.0
"""No write of a file takes so long: whoever began one that is older is gone."""

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755


def write_temporary(folder: Path, *parts: bytes) -> Path:
    """A new file in `folder` under a temporary name, durable, readable by its owner only.

    Raises OSError; then there is no such file.
    """
    path = folder / f".{secrets.token_hex(16)}{TEMPORARY}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return path


def write_file(path: Path, *parts: bytes) -> None:
    """Write or replace a file, readable by its owner only; it is durable when this returns.

    Raises OSError; then nothing is left under this name.
    """
    temporary = write_temporary(path.parent, *parts)
    try:
        os.replace(temporary, path)
        flush(path.parent)
    except OSError:
        for leaving in (temporary, path):
            with suppress(OSError):
                os.unlink(leaving)
        raise


def sweep_temporary(folder: Path, now: float) -> list[str]:
    """Remove the files that `write_temporary` began long ago and nobody finished; returns their names.

    now: by the clock of the folder's file system, in UNIX seconds; a network mount's may differ from ours.
    What cannot be removed stays. Raises OSError if the folder cannot be read.
    """
    removed = []
    for entry in os.scandir(folder):
        if not (entry.name.startswith(".") and entry.name.endswith(TEMPORARY)):
            continue
        with suppress(OSError):  # another process may be sweeping too
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(about.st_mode) and about.st_mtime < now - STALE_SECONDS:
                os.unlink(entry.path)
                removed.append(entry.name)
    return removed


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` at the end of the block; after an exception it is removed.

    Everything in it is durable by then and readable by all. Raises OSError, also where `target` is a
    folder that holds something.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}{TEMPORARY}")
    partial.mkdir(mode=0o700)
    try:
        yield partial
        for path in (*partial.rglob("*"), partial):
            path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)
            flush(path)
        partial.rename(target)
        flush(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def flush(path: Path) -> None:
    """Bring a file's bytes, or a folder's entries, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot flush a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
