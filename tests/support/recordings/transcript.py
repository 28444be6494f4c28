"""What went over the wire, a line each, less what no two runs have in common.

`>` the client sent, `<` the server did, `=` says something of what came before. A frame stands as it was
sent, byte for byte, but for placeholders: ids, times, versions, and sound, of which there is the length and
a digest. Line ends inside of a frame are written as `⏎`.
"""

from __future__ import annotations

import base64
import re
from collections import Counter

from .sound import Sound, digest

LONGEST = 1500
"""Characters of a line; the middle of a longer one is written as a digest."""

_KEPT = 400
_SOUND = re.compile(
    r'(?<!\\)"(data|audio|audio_base64|audio_b64|audio_data|delta)":"([A-Za-z0-9+/]+={0,2})"'
)
_BYTES = re.compile(r'(?<!\\)"usage":[1-9]\d*')
_TIMES = re.compile(
    r'(?<!\\)"(server_cost_time|first_package_time|rtf|encode_time)":-?\d+\.\d+(e-?\d+)?'
)
_CREATED = re.compile(r'(?<!\\)"(created_at|expires_at|creation_time_unix|archived_time_unix)":\d+')
_GMT = re.compile(r'(?<!\\)"(gmt_\w+)":"[-\d: ]+"')
_QUOTA = re.compile(r'(?<=;t=)\d+|(?<="resets_in":)\d+|(?<= left; try again in )\d+')
_RETRY = re.compile(r"(?<=Retry-After: )\d{3,}")
_VERSION = re.compile(r'(?<!\\)"version":"[^"]+"')
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_HEX = re.compile(r"\b[0-9a-f]{32}\b")


class Transcript:
    """Lines as they are said."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, mark: str, text: str) -> None:
        self._lines.append(f"{mark} {_bounded(without_times(text))}".rstrip())

    def text(self) -> str:
        """All of it; ids that occur more than once are numbered, so that one sees which are the same."""
        whole = "".join(line + "\n" for line in self._lines)
        return _named(_named(whole, _UUID, "uuid"), _HEX, "hex")


def without_sound(text: str, sound: Sound | None) -> str:
    """A frame whose base64 stands for sound; that goes to `sound`."""
    if sound is None:
        return text

    def described(found: re.Match[str]) -> str:
        return f'"{found[1]}":"<{sound.take(base64.b64decode(found[2]))}>"'

    text = _SOUND.sub(described, text)
    return text if sound.exact else _BYTES.sub('"usage":<integer>', text)


def without_times(text: str) -> str:
    """A frame without what a clock or a release has to do with."""
    text = _TIMES.sub(r'"\1":<float>', text)
    text = _CREATED.sub(r'"\1":<integer>', text)
    text = _GMT.sub(r'"\1":"<time>"', text)
    text = _RETRY.sub("<integer>", _QUOTA.sub("<integer>", text))
    return _VERSION.sub('"version":"<version>"', text)


def on_one_line(text: str) -> str:
    return text.replace("\r\n", "⏎").replace("\n", "⏎")


def _bounded(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    left_out = text[_KEPT:-_KEPT].encode("utf-8", "surrogatepass")
    return f"{text[:_KEPT]}<{digest(left_out)}>{text[-_KEPT:]}"


def _named(text: str, ids: re.Pattern[str], kind: str) -> str:
    times = Counter(ids.findall(text))
    repeated = [found for found, count in times.items() if count > 1]
    names = {found: f"<{kind}-{number}>" for number, found in enumerate(repeated, 1)}
    return ids.sub(lambda found: names.get(found[0], f"<{kind}>"), text)
