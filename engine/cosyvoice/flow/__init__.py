"""Flow matching: speech tokens (25/s) to mel (50 frames/s). See model.py for the entries."""

from .attention import attention_kernel
from .cache import MemoryPool
from .dit import Dit, DitFlow
from .graphs import GraphCache, graphs_for
from .model import Flow, FlowError, FlowStats, TokenFlow
from .state import EXACT, RECOMPUTE, ContextPolicy, FlowPrompt, FlowState, total_nbytes

__all__ = [
    "EXACT",
    "RECOMPUTE",
    "ContextPolicy",
    "Dit",
    "DitFlow",
    "Flow",
    "FlowError",
    "FlowPrompt",
    "FlowState",
    "FlowStats",
    "GraphCache",
    "MemoryPool",
    "TokenFlow",
    "attention_kernel",
    "graphs_for",
    "total_nbytes",
]
