"""The engine's statistics: the name, help text and source of each. Imports no torch.

To add one, count it in the part that knows it and add a line to STATISTICS; the metrics page and its table
follow. Names in _total are counters, all others gauges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from .build import Running
    from .session import CosyVoiceSession

    Read = Callable[[Running, Collection[CosyVoiceSession]], float]


class Statistic(NamedTuple):
    """read: None where the speech LM's backend counts it, if it does (`SpeechLM.stats`)."""

    help: str
    read: Read | None = None


STATISTICS: Final[Mapping[str, Statistic]] = {
    "sessions": Statistic("Open sessions.", lambda _, sessions: len(sessions)),
    "queue_depth": Statistic(
        "Pieces of work that wait for a worker or for the device.",
        lambda running, _: running.batcher.waiting,
    ),
    "unread_seconds": Statistic(
        "Speech that waits for its readers.",
        lambda _, sessions: sum(session.unread for session in sessions),
    ),
    "device_busy_seconds_total": Statistic(
        "Time the device thread has worked.", lambda running, _: running.thread.busy_seconds
    ),
    "queue_seconds_total": Statistic(
        "Time hops have waited for the device.",
        lambda running, _: running.batcher.counts.queue_seconds,
    ),
    "lm_step_seconds_total": Statistic("Time spent in LM steps."),
    "lm_steps_total": Statistic("LM steps."),
    "lm_batch_rows_total": Statistic(
        "Utterances in LM steps; divided by the steps, the batch size."
    ),
    "lm_tokens_total": Statistic("Speech tokens drawn."),
    "lm_streams": Statistic("Active and queued LM utterances."),
    "lm_slots_used": Statistic("Utterances that hold a context in the LM."),
    "lm_streams_computed": Statistic("Utterances for which vLLM has something to compute."),
    "lm_busy_seconds_total": Statistic("Time in which vLLM had something to compute."),
    "lm_requests_total": Statistic(
        "vLLM requests: one for each utterance, more for those that were called back."
    ),
    "lm_chunks_total": Statistic("Inputs handed over to vLLM."),
    "lm_ids_read_total": Statistic("Text and prompt tokens read by the LM."),
    "lm_failed_streams_total": Statistic("Utterances that failed in vLLM."),
    "lm_engine_up": Statistic("1 if vLLM's engine runs, 0 while it is rebuilt."),
    "lm_engine_deaths_total": Statistic("Deaths of vLLM's engine."),
    "lm_engine_rebuilds_total": Statistic("Rebuilds of vLLM's engine."),
    "lm_engine_rebuild_seconds": Statistic("Duration of the last rebuild, including back-off."),
    "lm_engine_failed_starts_total": Statistic("Rebuilds that failed."),
    "lm_engine_failures_in_a_row": Statistic(
        "Deaths and failed rebuilds since vLLM's engine was last stable."
    ),
    "lm_engine_breaker_open": Statistic(
        "1 if vLLM's engine fails so often that rebuilds are tried at long intervals only."
    ),
    "lm_cache_blocks": Statistic("Blocks of vLLM's KV cache."),
    "lm_cache_blocks_free": Statistic("Blocks that no utterance holds or is promised."),
    "lm_streams_inside": Statistic("Utterances that have a place in vLLM."),
    "lm_streams_parked": Statistic("Utterances in vLLM that wait for text."),
    "lm_streams_waiting": Statistic("Utterances that wait for a place in vLLM."),
    "lm_streams_recalled_total": Statistic(
        "Utterances that gave up their place to others while they waited for text."
    ),
    "lm_loops_total": Statistic("Utterances ended because the LM repeated itself."),
    "lm_recomputed_total": Statistic("LM rows computed again in float32 after an overflow."),
    "lm_not_finite_total": Statistic("LM rows that overflowed in float32, too."),
    "lm_failed_steps_total": Statistic("LM steps that failed."),
    "lm_cache_bytes": Statistic("The LM's KV cache."),
    "flow_seconds_total": Statistic(
        "Time spent in the flow.", lambda running, _: running.batcher.counts.flow_seconds
    ),
    "flow_recomputed_total": Statistic(
        "Passes of the flow computed again in float32 after an overflow.",
        lambda running, _: running.flow.stats.fp32_redos,
    ),
    "flow_graphs": Statistic(
        "Recorded CUDA graphs of the flow.",
        lambda running, _: 0 if running.flow.graphs is None else len(running.flow.graphs),
    ),
    "flow_graph_passes_total": Statistic(
        "Passes of the flow that a CUDA graph served.",
        lambda running, _: running.flow.graph_counts.passes,
    ),
    "flow_graph_fallbacks_total": Statistic(
        "Passes of the flow done without a CUDA graph although graphs are on.",
        lambda running, _: running.flow.graph_counts.without,
    ),
    "flow_graphs_failed": Statistic(
        "1 if a CUDA graph could not be recorded or was wrong, after which there are none.",
        lambda running, _: running.flow.graphs is not None and running.flow.graphs.failed,
    ),
    "flow_pages_free": Statistic(
        "Pages of one chunk, of keys and values, that nobody holds, on a GPU.",
        lambda running, _: running.flow.store.free_pages,
    ),
    "vocoder_seconds_total": Statistic(
        "Time spent in the vocoder.", lambda running, _: running.batcher.counts.vocoder_seconds
    ),
    "hop_batches_total": Statistic(
        "Steps of flow and vocoder.", lambda running, _: running.batcher.counts.batches
    ),
    "hop_batch_rows_total": Statistic(
        "Sessions in those steps; divided by the steps, the batch size.",
        lambda running, _: running.batcher.counts.rows,
    ),
    "hops_failed_total": Statistic(
        "Hops that could not be computed.", lambda running, _: running.batcher.counts.failed
    ),
    "memory_budget_bytes": Statistic(
        "Device memory for sessions, prompts and the LM's cache.",
        lambda running, _: running.memory.budget,
    ),
    "memory_leased_bytes": Statistic(
        "Memory that sessions hold or are promised.", lambda running, _: running.memory.leased
    ),
    "session_cache_bytes": Statistic(
        "Memory that sessions hold.", lambda running, _: running.memory.session_bytes
    ),
    "spare_memory_bytes": Statistic(
        "Memory that ended sessions left for the next ones, on a CPU.",
        lambda running, _: running.flow.pool.idle,
    ),
    "prompt_cache_bytes": Statistic(
        "Prompts on the device.", lambda running, _: running.flow_prompts.nbytes
    ),
    "prompt_hits_total": Statistic(
        "Sessions that found their voice's prompt on the device.",
        lambda running, _: running.flow_prompts.counts.hits,
    ),
    "prompt_misses_total": Statistic(
        "Prompt-cache misses.", lambda running, _: running.flow_prompts.counts.misses
    ),
    "sessions_windowed_total": Statistic(
        "Sessions limited to a window of context for want of memory.",
        lambda running, _: running.memory.counts.windowed + running.memory.counts.narrowed,
    ),
    "sessions_recomputing_total": Statistic(
        "Sessions that recompute their context for want of memory.",
        lambda running, _: running.memory.counts.recomputed,
    ),
    "sessions_refused_total": Statistic(
        "Sessions refused for want of memory.", lambda running, _: running.memory.counts.refused
    ),
    "voice_cache_bytes": Statistic(
        "Prepared voices in memory.", lambda running, _: running.voice_prompts.nbytes
    ),
    "voice_memory_hits_total": Statistic(
        "Voices found in memory.", lambda running, _: running.voice_prompts.counts.memory_hits
    ),
    "voice_disk_hits_total": Statistic(
        "Voices found on disk.", lambda running, _: running.voice_prompts.counts.disk_hits
    ),
    "voice_misses_total": Statistic(
        "Voices prepared from their clip.",
        lambda running, _: running.voice_prompts.counts.misses,
    ),
    "voice_files_corrupt_total": Statistic(
        "Damaged voice files, prepared again.",
        lambda running, _: running.voice_prompts.counts.corrupt,
    ),
    "voice_writes_failed_total": Statistic(
        "Voices that could not be kept on disk.",
        lambda running, _: running.voice_prompts.counts.failed_writes,
    ),
}


def read_statistics(running: Running, sessions: Collection[CosyVoiceSession]) -> dict[str, float]:
    """All statistics, by name."""
    own = {
        name: statistic.read(running, sessions)
        for name, statistic in STATISTICS.items()
        if statistic.read is not None
    }
    return own | dict(running.lm.stats())
