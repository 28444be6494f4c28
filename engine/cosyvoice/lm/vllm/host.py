"""The vLLM engine that the streams run in: made, watched, ended and made again here."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Protocol

from ....interface import EngineDied, EngineNotReady
from .admission import KvBudget, KvCapacity
from .compat import early_sampler, late_sampler, prepare
from .options import NOT_INSTALLED, VllmOptions, engine_arguments
from .supervisor import RestartPolicy, Supervisor

if TYPE_CHECKING:
    from prometheus_client import Metric
    from vllm.v1.engine.async_llm import AsyncLLM

_log = logging.getLogger(__name__)

_FIRST_REQUEST_SECONDS: Final = 120.0
_REAP_SECONDS: Final = 2.0


class LmHost(Protocol):
    """The host as the streams and the backend see it."""

    options: VllmOptions

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def ready(self) -> bool:
        """Whether there is an engine."""

    @property
    def budget(self) -> KvBudget:
        """Who may enter the engine. Raises EngineNotReady while there is none."""

    def engine(self) -> AsyncLLM:
        """The engine as it runs. Raises EngineNotReady while there is none."""

    def failed(self, error: BaseException) -> None:
        """A stream's request ended with this: the engine is dead, or as good as dead. Never raises."""

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges by name."""


@dataclass(frozen=True, slots=True)
class Built:
    """A vLLM engine that has answered its first request."""

    llm: AsyncLLM
    capacity: KvCapacity


class RunningEngine:
    """One vLLM engine and the budget of who is in it: supervisor.Supervised."""

    def __init__(self, built: Built, patience: float) -> None:
        self.llm: AsyncLLM | None = built.llm
        self.budget = KvBudget(built.capacity, patience)
        self._gone = asyncio.Event()
        """Set as soon as its death is known."""
        # vLLM reads the engine's answers in this task; it ends when the engine does, whether or not
        # anybody has a request. So an idle engine's death is noticed too, and at once.
        reader = built.llm.output_handler
        assert reader is not None
        reader.add_done_callback(lambda _: self._gone.set())

    @property
    def alive(self) -> bool:
        """False as soon as its death is known, before anybody has been told."""
        return self.llm is not None and not self.llm.errored and not self._gone.is_set()

    async def died(self) -> None:
        await self._gone.wait()

    def gone(self) -> None:
        """A request failed in a way that only a dead engine's do."""
        self._gone.set()

    def fail(self) -> None:
        self.budget.close(EngineDied("the speech model died"))

    async def close(self) -> None:
        llm, self.llm = self.llm, None
        if llm is not None:
            await _end(llm)
            del llm
            # It lies in circles of references, and its last sockets go with it.
            await asyncio.to_thread(gc.collect)


class EngineHost:
    """A vLLM engine under supervision. For one event loop.

    build: makes an engine (`build_engine`).
    """

    def __init__(
        self,
        options: VllmOptions,
        policy: RestartPolicy | None = None,
        build: Callable[[VllmOptions], Awaitable[Built]] | None = None,
    ) -> None:
        self.options = options
        self._build = build or build_engine
        self._supervisor = Supervisor(self._new_engine, policy)
        """Holds the engine that runs, if any."""

    @property
    def ready(self) -> bool:
        running = self._supervisor.current
        return running is not None and running.alive

    @property
    def budget(self) -> KvBudget:
        return self._need().budget

    async def start(self) -> None:
        """Takes a minute or so. Raises EngineNotReady, which says what is wrong."""
        await self._supervisor.start()

    async def stop(self) -> None:
        """Leaves no process. Idempotent."""
        await self._supervisor.stop()

    def engine(self) -> AsyncLLM:
        llm = self._need().llm
        assert llm is not None
        return llm

    def failed(self, error: BaseException) -> None:
        running = self._supervisor.current
        if running is not None and not running.alive:
            running.gone()

    def stats(self) -> Mapping[str, float]:
        supervisor = self._supervisor
        counts, running = supervisor.counts, supervisor.current
        numbers = {
            "lm_engine_up": float(self.ready),
            "lm_engine_deaths_total": counts.deaths,
            "lm_engine_failed_starts_total": counts.failed_starts,
            "lm_engine_rebuilds_total": counts.rebuilds,
            "lm_engine_rebuild_seconds": counts.rebuild_seconds,
            "lm_engine_failures_in_a_row": supervisor.failures_in_a_row,
            "lm_engine_breaker_open": float(supervisor.breaker_open),
        }
        if running is not None:
            numbers |= _budget_stats(running.budget)
        return numbers

    def _need(self) -> RunningEngine:
        running = self._supervisor.need()
        if not running.alive:
            raise EngineNotReady("the speech model is being started again")
        return running

    async def _new_engine(self) -> RunningEngine:
        return RunningEngine(await self._build(self.options), self.options.patience)


def _budget_stats(budget: KvBudget) -> dict[str, float]:
    return {
        "lm_cache_blocks": budget.capacity.blocks,
        "lm_cache_blocks_free": budget.free_blocks,
        "lm_streams_inside": budget.streams,
        "lm_streams_parked": budget.parked,
        "lm_streams_waiting": budget.waiting,
        "lm_streams_recalled_total": budget.counts.recalled,
    }


async def build_engine(options: VllmOptions) -> Built:
    """Raises EngineNotReady. Cancelled, it waits until vLLM has started and ends it."""
    made: list[AsyncLLM] = []
    starting = asyncio.ensure_future(asyncio.to_thread(_construct, options, made))
    try:
        await asyncio.shield(starting)
        await asyncio.wait_for(_first_request(made[0]), _FIRST_REQUEST_SECONDS)
        capacity = _capacity(made[0])
        return Built(made.pop(), capacity)
    except BaseException as error:
        await asyncio.wait({starting})
        if made:
            await _end(made.pop())
        if isinstance(error, Exception):
            raise EngineNotReady(_why(error)) from error
        raise


def _why(error: Exception) -> str:
    if isinstance(error, EngineNotReady):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "vllm":
        return NOT_INSTALLED
    return f"vLLM does not start: {error or type(error).__name__}"


def _construct(options: VllmOptions, made: list[AsyncLLM]) -> None:
    """Blocking, for a minute or so.

    The engine goes into `made`. While vLLM loads, exceptions are kept whose frames reach up to the
    thread's own: what is returned through these would never be freed.
    """
    prepare()
    from vllm import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    unknown = options.extra.keys() - {field.name for field in fields(AsyncEngineArgs)}
    if unknown:
        raise ValueError(f"vLLM has no engine argument {', '.join(sorted(unknown))}")
    arguments = engine_arguments(options, on_cpu=current_platform.is_cpu())
    early = early_sampler()
    if early is not None:
        arguments["logits_processors"] = [early]
    config = AsyncEngineArgs(**arguments).create_engine_config(UsageContext.ENGINE_CONTEXT)
    config.model_config.logits_processors = [late_sampler(config)]
    made.append(AsyncLLM.from_vllm_config(config, disable_log_stats=False))


async def _first_request(llm: AsyncLLM) -> None:
    """One token, so that it is known to work; and on the loop, where vLLM's reader starts with it."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    params = SamplingParams(
        max_tokens=1,
        temperature=0.0,
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
    async for _ in llm.generate({"prompt_token_ids": [0, 1, 2]}, params, "first"):
        pass


async def _end(llm: AsyncLLM) -> None:
    """Leaves no process."""
    if llm.output_handler is not None:
        llm.output_handler.cancel()  # it would log the end as a failure
    await asyncio.to_thread(_shut_down, llm)


def _shut_down(llm: AsyncLLM) -> None:
    llm.shutdown()
    # An engine that does not end within five seconds was killed just now, and nobody waits for it.
    for process in multiprocessing.active_children():
        if process.name.startswith("EngineCore"):
            process.join(_REAP_SECONDS)


def _capacity(llm: AsyncLLM) -> KvCapacity:
    cache, scheduler = llm.vllm_config.cache_config, llm.vllm_config.scheduler_config
    blocks = cache.num_gpu_blocks
    if not blocks or not cache.block_size:
        raise EngineNotReady("vLLM does not tell the size of its cache")
    watermark = int(getattr(scheduler, "watermark", 0.0) * blocks)
    # vLLM keeps one block for itself.
    return KvCapacity(blocks - 1 - watermark, cache.block_size, scheduler.max_num_seqs)


def vllm_metrics() -> Iterator[Metric]:
    """vLLM's own metrics in this process. It keeps them in prometheus_client's registry, and removes
    the old ones whenever an engine is made."""
    from prometheus_client import REGISTRY

    return (family for family in REGISTRY.collect() if family.name.startswith("vllm:"))
