"""The host of an engine that is a fake: what it tells while the engine runs, dies and comes again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cosyserve.engine.cosyvoice.lm.vllm.admission import KvCapacity
from cosyserve.engine.cosyvoice.lm.vllm.host import Built, EngineHost, build_engine
from cosyserve.engine.cosyvoice.lm.vllm.options import (
    NAMED,
    NOT_INSTALLED,
    OURS,
    VllmOptions,
    check_extra,
    engine_arguments,
)
from cosyserve.engine.cosyvoice.lm.vllm.supervisor import RestartPolicy
from cosyserve.engine.interface import EngineDied, EngineNotReady
from support.engines import vllm


class FakeLLM:
    """As much of AsyncLLM as the host sees."""

    def __init__(self) -> None:
        self.errored = False
        self.shut_down = 0
        self.output_handler: asyncio.Task[None] | None = asyncio.create_task(self._read())
        self._killed = asyncio.Event()

    async def _read(self) -> None:
        await self._killed.wait()

    def kill(self) -> None:
        self.errored = True
        self._killed.set()

    def shutdown(self) -> None:
        self.shut_down += 1


class Fakes:
    def __init__(self) -> None:
        self.made: list[FakeLLM] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def build(self, options: VllmOptions) -> Built:
        await self.gate.wait()
        self.made.append(FakeLLM())
        llm: Any = self.made[-1]
        return Built(llm, KvCapacity(blocks=10, block_tokens=32, slots=options.max_num_seqs))


@pytest.fixture
async def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
async def host(fakes: Fakes) -> AsyncIterator[EngineHost]:
    host = EngineHost(VllmOptions(max_num_seqs=3), RestartPolicy(), fakes.build)
    await host.start()
    yield host
    fakes.gate.set()
    await host.stop()


async def up_again(host: EngineHost) -> None:
    async with asyncio.timeout(10):
        while not host.ready:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_before_the_start_and_after_the_end_there_is_no_engine(fakes: Fakes) -> None:
    host = EngineHost(VllmOptions(), None, fakes.build)
    for _ in range(2):
        assert not host.ready
        with pytest.raises(EngineNotReady, match="not running"):
            host.engine()
        with pytest.raises(EngineNotReady):
            _ = host.budget
        await host.start()
        assert host.ready
        await host.stop()
    assert [llm.shut_down for llm in fakes.made] == [1, 1]


async def test_an_idle_engines_death_is_noticed(host: EngineHost, fakes: Fakes) -> None:
    budget = host.budget
    lease = await budget.reserve(10 * 32 - 1)
    waiting = asyncio.create_task(budget.reserve(1))
    await asyncio.sleep(0)
    fakes.gate.clear()
    fakes.made[0].kill()
    assert not host.ready  # at once, before anybody else has had a turn
    with pytest.raises(EngineNotReady, match="started again"):
        host.engine()
    with pytest.raises(EngineDied):
        await waiting
    lease.release()
    assert host.stats()["lm_engine_up"] == 0
    fakes.gate.set()
    await up_again(host)
    assert fakes.made[0].shut_down == 1
    assert host.budget is not budget
    stats = host.stats()
    assert (stats["lm_engine_up"], stats["lm_engine_deaths_total"]) == (1, 1)
    assert stats["lm_cache_blocks_free"] == 10


async def test_a_stream_may_be_the_first_to_know(host: EngineHost, fakes: Fakes) -> None:
    fakes.made[0].errored = True  # its reader has not heard of it yet
    host.failed(RuntimeError("dead"))
    await up_again(host)
    assert len(fakes.made) == 2


async def test_a_request_that_fails_alone_costs_nobody_the_engine(
    host: EngineHost, fakes: Fakes
) -> None:
    host.failed(RuntimeError("a bad request"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert host.ready
    assert len(fakes.made) == 1


def test_no_argument_is_both_ours_and_a_setting() -> None:
    assert not OURS.keys() & NAMED.keys()
    check_extra({"block_size": 64, "kv_cache_dtype": "fp8"})
    for name in (*OURS, *NAMED):
        with pytest.raises(ValueError, match=name):
            check_extra({name: 1})
        with pytest.raises(ValueError, match=name):
            VllmOptions(extra={name: 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_num_seqs": 0},
        {"max_model_len": 2},
        {"tensor_parallel_size": 0},
        {"gpu_memory_utilization": 0.0},
        {"gpu_memory_utilization": 1.1},
    ],
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"the LM needs|utilization"):
        VllmOptions(**wrong)


def test_what_vllm_is_started_with() -> None:
    options = VllmOptions(max_model_len=512, kv_cache_bytes=1 << 20, extra={"seed": 3})
    on_gpu = engine_arguments(options, on_cpu=False)
    assert on_gpu["dtype"] == "bfloat16"
    assert on_gpu["kv_cache_memory_bytes"] == 1 << 20
    assert on_gpu["seed"] == 3
    assert "block_size" not in on_gpu
    on_cpu = engine_arguments(VllmOptions(extra={"block_size": 16}), on_cpu=True)
    assert (on_cpu["dtype"], on_cpu["block_size"]) == ("float32", 16)
    assert on_cpu["kv_cache_memory_bytes"] == 2 << 30
    assert "kv_cache_memory_bytes" not in engine_arguments(VllmOptions(), on_cpu=False)


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_argument_that_is_refused_or_named_is_one_of_vllms() -> None:
    vllm.required()
    from dataclasses import fields

    from vllm import AsyncEngineArgs

    known = {field.name for field in fields(AsyncEngineArgs)}
    assert OURS.keys() | NAMED.keys() <= known


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_argument_that_vllm_does_not_know_is_named() -> None:
    vllm.required()
    with pytest.raises(EngineNotReady, match="no engine argument warp_speed"):
        await build_engine(VllmOptions(extra={"warp_speed": 9}))


async def test_without_vllm_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(EngineNotReady) as caught:
        await build_engine(VllmOptions())
    assert str(caught.value) == NOT_INSTALLED
