"""Whether the natural voice is installed. Imports nothing of it: the server's process never loads it."""

from __future__ import annotations

import importlib.util
from typing import Final

MEDIAN_F0: Final = 196.0
"""Hz: the voice's own median F0."""


def hibari_installed() -> bool:
    """Whether the packages hibari-tts and onnxruntime are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("hibari", "onnxruntime"))
