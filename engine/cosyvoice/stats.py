"""The engine's numbers for the metrics page. Names in _total are counters, all others gauges."""

from __future__ import annotations

from collections.abc import Mapping

from .flow import FlowStats
from .scheduling.memory import MemoryBook
from .prompts import PromptCache
from .scheduling.batcher import Runtime
from .prompt.caches import VoiceCache


def engine_stats(
    *,
    sessions: int,
    unread: float,
    runtime: Runtime,
    lm: Mapping[str, float],
    flow: FlowStats,
    spare: int,
    book: MemoryBook,
    prompts: PromptCache,
    voices: VoiceCache,
    busy_seconds: float,
) -> dict[str, float]:
    """One flat table of all parts'."""
    hops, memory, kept = runtime.counts, book.counts, voices.stats
    return {
        "sessions": sessions,
        "queue_depth": runtime.waiting,
        "unread_seconds": unread,
        "device_busy_seconds_total": busy_seconds,
        "queue_seconds_total": hops.queue_seconds,
        "flow_seconds_total": hops.flow_seconds,
        "vocoder_seconds_total": hops.vocoder_seconds,
        "hop_batches_total": hops.batches,
        "hop_batch_rows_total": hops.rows,
        "hops_failed_total": hops.failed,
        "flow_recomputed_total": flow.fp32_redos,
        **lm,
        "memory_budget_bytes": book.budget,
        "memory_leased_bytes": book.leased,
        "session_cache_bytes": book.session_bytes,
        "spare_memory_bytes": spare,
        "prompt_cache_bytes": prompts.nbytes,
        "prompt_hits_total": prompts.counts.hits,
        "prompt_misses_total": prompts.counts.misses,
        "sessions_windowed_total": memory.windowed + memory.narrowed,
        "sessions_recomputing_total": memory.recomputed,
        "sessions_refused_total": memory.refused,
        "voice_cache_bytes": voices.nbytes,
        "voice_memory_hits_total": kept.memory_hits,
        "voice_disk_hits_total": kept.disk_hits,
        "voice_misses_total": kept.misses,
        "voice_files_corrupt_total": kept.corrupt,
        "voice_writes_failed_total": kept.failed_writes,
    }
