"""espeak-ng as it is installed, and the data folder that the workers use in place of its own.

Of all the voice definitions of espeak-ng, a recogniser understands those best that have an echo and
weak, wide formants; but they waver in a way that depends on what was spoken before. The workers
therefore use copies with "flutter 0" and "roughness 0", which take the wavering out: speech repeats
to the sample. The seed promises that, and it lets a worker resume a job where another left it.

The library looks for definitions only in its data folder, so `make_data` makes a folder of links to
the installed data with our definitions beside them.

The pitch setting moves a voice by about an octave. For a wider range each voice has definitions
with other base pitches; the formants stay, so it remains the same voice speaking higher or lower.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STEADY: Final = "flutter 0\nroughness 0\n"
_MALE: Final = """\
pitch 80 120
formant 0 100 80 150
formant 1 100 80 160
formant 2 100 70 150
formant 3 100 70 150
formant 4 100 80 150
formant 5 100 80 150
"""

DEFINITIONS: Final = {
    "cosy-f1": ("f2", _STEADY),
    "cosy-f2": ("f5", _STEADY),
    "cosy-m1": ("f2", _MALE + _STEADY),
    "cosy-m2": ("michel", _STEADY),
    "cosy-w1": ("whisperf", _STEADY),
}
"""For each of our definitions: the one it is made from, and lines to append (the last of a kind counts)."""

PITCH_STEPS: Final = range(-5, 6)
"""Steps by which the base pitch of a definition may be shifted."""
PITCH_STEP: Final = 2**0.25
"""A factor on the pitch: a quarter of an octave."""

_VARIANTS: Final = Path("voices", "!v")
_PITCH: Final = re.compile(r"^pitch\s+(\d+)\s+(\d+)", re.MULTILINE)
_PREFIX: Final = "cosyserve-espeak-"
_STALE_SECONDS: Final = 3600.0
"""Between the making of a folder and its lock pass milliseconds."""
_PITCH_ZERO: Final = 9
"""The base that espeak-ng takes for no pitch: it scales the base less this."""


def pitched(name: str, step: int) -> str:
    """The name of the definition `name` with its pitch times PITCH_STEP**step."""
    return f"{name}{step:+d}" if step else name


def _pitch_line(text: str, step: int) -> str:
    """The line to append to the definition `text` so that its pitch is shifted by `step`."""
    low, high = (int(number) for number in _PITCH.findall(text)[-1])
    base = _PITCH_ZERO + (low - _PITCH_ZERO) * PITCH_STEP**step
    return f"pitch {base:.0f} {base + (high - low) * PITCH_STEP**step:.0f}\n"


def make_data(installed: str) -> str:
    """Make the workers' data folder from the installed one; return its path.

    The caller removes it with `remove_data`. Raises OSError.
    """
    source = Path(installed)
    data = Path(tempfile.mkdtemp(prefix=_PREFIX), source.name)
    try:
        (data / _VARIANTS).mkdir(parents=True)
        for entry in source.iterdir():
            if entry.name != _VARIANTS.parts[0]:
                (data / entry.name).symlink_to(entry)
        for name, (base, changes) in DEFINITIONS.items():
            text = (source / _VARIANTS / base).read_text()
            text = f"{text}\n{changes}"
            for step in PITCH_STEPS:
                lines = _pitch_line(text, step) if step else ""
                (data / _VARIANTS / pitched(name, step)).write_text(text + lines)
    except BaseException:
        remove_data(str(data))
        raise
    return str(data)


def lock_data(data: str) -> int:
    """Mark the folder as in use, until the process ends or closes the descriptor that this returns.

    The lock keeps off `sweep_data` and systemd-tmpfiles, which removes what is old. Raises OSError.
    """
    return _lock(os.path.dirname(data), fcntl.LOCK_SH)


def sweep_data() -> None:
    """Remove this user's data folders whose owners died without removing them, as a machine's crash does."""
    with suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(_PREFIX):
                with suppress(OSError):
                    _remove_if_left(entry)


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    """Raises OSError, of which BlockingIOError says that the folder is in use."""
    about = entry.stat(follow_symlinks=False)
    ours = entry.is_dir(follow_symlinks=False) and about.st_uid == os.geteuid()
    if ours and about.st_mtime < time.time() - _STALE_SECONDS:
        lock = _lock(entry.path, fcntl.LOCK_EX)
        try:
            shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(lock)


def _lock(folder: str, kind: int) -> int:
    """A descriptor that holds the lock. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remove_data(data: str) -> None:
    """Remove the folder that `make_data` made. Idempotent."""
    shutil.rmtree(os.path.dirname(data), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class EspeakFiles:
    """Paths of espeak-ng's shared library and of its data folder."""

    library: str
    data: str


class EspeakMissing(Exception):
    """espeak-ng is not installed; the message says how to install it."""


def find_espeak() -> EspeakFiles:
    """Find espeak-ng without loading it. Raises EspeakMissing."""
    hint = (
        "the embedded voice needs espeak-ng, which is not installed; allowed: install it "
        "(pip install 'cosyserve[embedded]'), or use CosyVoice 2 with a model"
    )
    if importlib.util.find_spec("espeakng_loader") is None:
        raise EspeakMissing(hint)
    import espeakng_loader

    try:
        files = EspeakFiles(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    except RuntimeError as error:
        raise EspeakMissing(hint) from error
    if not all(Path(part).exists() for part in (files.library, f"{files.data}/phontab")):
        raise EspeakMissing(hint)
    return files
