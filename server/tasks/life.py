"""The life of a task, whatever carries it: its voice, its synthesis, its accounts and its outcome."""

from __future__ import annotations

import time
from dataclasses import asdict

import structlog

from cosyserve.protocol.errors import Throttled
from cosyserve.protocol.messages import ChunkMetrics, TaskMetrics
from cosyserve.protocol.parameters import SpeechParameters

from ..auth import Caller
from ..errors import report
from ..observe.logs import log_ids
from ..observe.metrics import Outcome, Transport
from ..services import Services
from ..voices.book import HostedVoices
from .account import TaskAccount
from .synthesis import SpokenChunk, Synthesis

log = structlog.get_logger(__name__)


class TaskLife:
    """One task from its arrival to its line in the log. The transport feeds it and writes what comes of it.

    Where nothing settles how the task ends, nobody heard its end: its outcome is "disconnected".
    """

    def __init__(
        self,
        parameters: SpeechParameters,
        caller: Caller,
        services: Services,
        transport: Transport,
        hosted: HostedVoices | None = None,
        task_id: str | None = None,
    ) -> None:
        """hosted: as in VoiceBook.resolve. task_id: the client's, where the transport has one."""
        self.parameters = parameters
        self.caller = caller
        self.services = services
        self.task_id = task_id
        self.account = TaskAccount(parameters.debug)
        self._transport = transport
        self._hosted = hosted
        self._outcome: tuple[Outcome, str] | None = None
        self._synthesis: Synthesis | None = None
        self._meter = services.metrics.task_arrived(transport, parameters, caller)

    async def open(self) -> Synthesis:
        """Find the voice and begin the synthesis; to be entered as a context.

        Raises what VoiceBook.resolve and Synthesis.open do.
        """
        services, parameters = self.services, self.parameters
        voice = await services.voices.resolve(
            services.owner(self.caller), parameters.reference_audio_id, self._hosted
        )
        self._synthesis = await Synthesis.open(
            services.engine, voice, parameters, services.encode_pool
        )
        return self._synthesis

    def text(self, text: str) -> None:
        """Account for a piece of text, as it comes."""
        self.account.text(text, time.monotonic())

    def chunk(self, chunk: SpokenChunk) -> ChunkMetrics:
        """Account for a chunk that goes out now."""
        now = time.monotonic()
        told = self.account.chunk(chunk, now)
        self._meter.chunk(chunk.seconds, len(chunk.data), now, self.account.first_package_seconds)
        return told

    def totals(self) -> TaskMetrics:
        """What the whole task has cost up to now."""
        return self.account.totals(time.monotonic())

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the text cannot be done as asked, a sentence each."""
        return () if self._synthesis is None else self._synthesis.notices

    def settle(self, outcome: Outcome, code: str = "") -> None:
        """How the task ends; code: of the error that ends it. Only the first call counts."""
        if self._outcome is None:
            self._outcome = ("throttled" if code == Throttled.code else outcome), code

    def over(self) -> None:
        """Enter the task into the metrics and the log. To be called once. Never raises."""
        outcome, code = self._outcome or ("disconnected", "")
        with log_ids(task_id=self.task_id, caller=self.caller.name):
            totals = self._last_totals()
            try:
                self._meter.ended(outcome, code, totals, self.account.characters)
            except Exception as error:
                report(error)
            log.info(
                "task_ended",
                transport=self._transport,
                outcome=outcome,
                code=code,
                **({} if totals is None else _rounded(totals)),
            )

    def _last_totals(self) -> TaskMetrics | None:
        try:
            return self.totals()
        except Exception as error:
            report(error)
            return None


def _rounded(totals: TaskMetrics) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(totals).items()}
