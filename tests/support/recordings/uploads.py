"""Clips to upload, and the forms that carry them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from .http import Request
from .sound import digest

PATH = "/api/v1/audio/reference_audio"
BOUNDARY = "cut"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

_RATE = 16000


def _ramp(seconds: float) -> bytes:
    steps = np.arange(round(seconds * _RATE))
    return ((steps % 101 - 50) * 200).astype("<i2").tobytes()


def wav(seconds: float) -> bytes:
    """Sound that is no speech, but loud enough for it."""
    return as_wav(_ramp(seconds))


def as_wav(samples: bytes) -> bytes:
    fields = struct.pack("<IHHIIHH", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    data = b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 28 + len(data)) + b"WAVEfmt " + fields + data


CLIP = wav(1.5)
BARE = _ramp(1.25)
SILENT = as_wav(bytes(2 * _RATE))


def form(
    file: bytes | None,
    fields: Mapping[str, str | bytes],
    headers: Mapping[str, str],
    *,
    filename: str = "clip.wav",
    content_type: str = FORM_TYPE,
) -> Request:
    """An upload; `file` None: without one."""
    parts = [] if file is None else [_part("file", file, f'; filename="{filename}"')]
    for name, value in fields.items():
        parts.append(_part(name, value if isinstance(value, bytes) else value.encode()))
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    told = [] if file is None else [f"file={filename!r} <{digest(file)}>"]
    told += [f"{name}={value!r}" for name, value in fields.items()]
    headers = {**headers, "Content-Type": content_type}
    return Request("POST", PATH, headers, body, shown=" ".join(told) or "(no fields)")


def _part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"
