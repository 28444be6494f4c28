"""The dialects of this server. A path that fits several belongs to the first of them."""

from __future__ import annotations

from typing import Final

from . import Dialect
from .cosyvoice import COSYVOICE
from .dashscope import DASHSCOPE
from .dashscope_realtime import DASHSCOPE_REALTIME
from .elevenlabs import ELEVENLABS
from .openai import OPENAI
from .vllm_omni import VLLM_OMNI

DIALECTS: Final[tuple[Dialect, ...]] = (
    COSYVOICE,
    OPENAI,
    DASHSCOPE,
    DASHSCOPE_REALTIME,
    ELEVENLABS,
    VLLM_OMNI,
)
