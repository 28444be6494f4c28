"""The dialects of this server. A path that fits several belongs to the first of them."""

from __future__ import annotations

from typing import Final

from . import Dialect
from .cosyvoice import COSYVOICE
from .dashscope import DASHSCOPE
from .elevenlabs import ELEVENLABS
from .openai import OPENAI

DIALECTS: Final[tuple[Dialect, ...]] = (COSYVOICE, OPENAI, DASHSCOPE, ELEVENLABS)
