"""What the engine can do on this machine, tried out at the start."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from time import perf_counter
from typing import Final

import structlog

from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters

from ..services import Services
from ..tasks.synthesis import Synthesis

log = structlog.get_logger(__name__)

TASKS: Final = 16
"""Enough to keep every worker of a small machine at work."""
WARM_UP, SECONDS = 0.1, 0.3
"""What does not count, and what does: clients are served meanwhile, and wait a little longer."""
_TEXT: Final = (
    "A server is asked for more than it can do, so that it learns how much that is. "
    "Nobody hears these sentences, which are like those of a conversation. "
) * 8


async def calibrate(services: Services) -> None:
    """Let the engine's first voice speak as much as it can for a moment, and admission know how much it was.

    An engine without a voice of its own, or whose first sound takes longer, is learned while it is used.
    """
    spoken = seconds = 0.0
    try:
        spoken, seconds = await _throughput(services)
    except* Exception as failed:
        log.warning("not_calibrated", reason=str(failed.exceptions[0]))
    if spoken:
        services.admission.capacity.calibrate(spoken / seconds)
        log.info("calibrated", tasks=int(services.admission.capacity.limit))


async def _throughput(services: Services) -> tuple[float, float]:
    """Seconds of speech made, and those that it took."""
    voices = services.engine.capabilities.voices
    prompt = services.engine.builtin_prompt(voices[0].id) if voices else None
    if prompt is None:
        return 0.0, 0.0
    parameters = SpeechParameters(
        mode=Mode.FAST, reference_audio_id=voices[0].id, output_format=AudioFormat.PCM
    )
    spoken = 0.0

    async def speak() -> None:
        nonlocal spoken
        synthesis = await Synthesis.open(
            services.engine, prompt, parameters, services.encode_pool, services.ssml_threads
        )
        async with synthesis:
            await synthesis.feed(_TEXT)
            await synthesis.finish()
            async with aclosing(synthesis.chunks()) as chunks:
                async for chunk in chunks:
                    spoken += chunk.seconds

    async with asyncio.TaskGroup() as tasks:
        speaking = [tasks.create_task(speak()) for _ in range(TASKS)]
        began, before = perf_counter(), 0.0
        _, pending = await asyncio.wait(speaking, timeout=WARM_UP)
        if pending:
            began, before = perf_counter(), spoken
            await asyncio.wait(pending, timeout=SECONDS)
        made, seconds = spoken - before, perf_counter() - began
        for task in speaking:
            task.cancel()
    return made, seconds
