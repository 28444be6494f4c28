"""The speech LM in vLLM: one running request per text, into which the text goes as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from itertools import count

from ....interface import EngineDied
from ...config import LmConfig
from ..bistream import Composition, composition
from ..interface import LmPrompt, SamplingOptions
from .compat import sessions_are_sound
from .drawing import LONGEST_WINDOW
from .host import LmHost
from .stream import Shared, VllmTokenStream


class VllmSpeechLM:
    """interface.SpeechLM on the engine that `host` runs. Construct it on the event loop that will use it."""

    def __init__(self, host: LmHost, config: LmConfig, sessions: bool | None = None) -> None:
        """config: of the checkpoint that the host's model folder was made of.

        sessions: whether text goes into running requests, or each input into a request of its own, which
        computes a part of what was read again; None: the former where vLLM does it well.
        """
        self.host = host
        self.config = config
        self._max_context = min(host.options.max_model_len, config.max_position_embeddings)
        self._streams: set[VllmTokenStream] = set()
        self._numbers = count()
        self._shared = Shared(sessions_are_sound() if sessions is None else sessions)
        self._loops = 0

    @property
    def ready(self) -> bool:
        return self.host.ready

    async def start(self) -> None:
        """Raises EngineNotReady, which says what is wrong."""
        await self.host.start()

    async def stop(self) -> None:
        """End all streams with EngineDied, then the engine."""
        streams = list(self._streams)
        for stream in streams:
            stream.end(EngineDied("the speech model was stopped"))
        if streams:
            await asyncio.wait({stream.task for stream in streams})
        await self.host.stop()

    def open(self, prompt: LmPrompt, options: SamplingOptions) -> VllmTokenStream:
        return self.open_composition(self.compose(prompt, options), options, prompt.tenant)

    def compose(self, prompt: LmPrompt, options: SamplingOptions) -> Composition:
        """The order of ids that `open` uses. Raises ValueError, LmTooLong."""
        if options.win > LONGEST_WINDOW:
            raise ValueError(f"win is at most {LONGEST_WINDOW}")
        return composition(self.config, prompt, options, self._max_context)

    def open_composition(
        self, composition: Composition, options: SamplingOptions, tenant: str = ""
    ) -> VllmTokenStream:
        """Begin a stream that reads in an order of its own. tenant: as in LmPrompt. Raises EngineNotReady."""
        self.host.engine()
        name = f"speech-{next(self._numbers)}"
        stream = VllmTokenStream(
            name, composition, options, self.host, self._max_context, self._shared, tenant
        )
        self._streams.add(stream)
        stream.task.add_done_callback(partial(self._ended, stream))
        return stream

    @property
    def tokens_at_most(self) -> int:
        """Ids that one stream may come to hold in the engine."""
        return self._max_context

    def stats(self) -> Mapping[str, float]:
        shared = self._shared
        shared.meter.read()
        return {
            "lm_streams": len(self._streams),
            "lm_streams_computed": shared.meter.running,
            "lm_busy_seconds_total": shared.meter.busy,
            "lm_requests_total": shared.requests,
            "lm_chunks_total": shared.lm_inputs,
            "lm_ids_read_total": shared.read,
            "lm_tokens_total": shared.tokens,
            "lm_loops_total": self._loops,
            "lm_failed_streams_total": shared.failed,
            **self.host.stats(),
        }

    def _ended(self, stream: VllmTokenStream, _: object) -> None:
        self._streams.discard(stream)
        self._loops += stream.looped
