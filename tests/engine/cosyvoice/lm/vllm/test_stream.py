"""What a stream makes of an engine that does what it should not; vLLM is there for its types only."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.lm.bistream import LmInput, LmLimits, Unistream
from cosyserve.engine.cosyvoice.lm.interface import (
    LmFailed,
    LmNotFinite,
    LmPrompt,
    LmTooLong,
    SamplingOptions,
)
from cosyserve.engine.cosyvoice.lm.vllm.admission import KvBudget, KvCapacity
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
from cosyserve.engine.cosyvoice.lm.vllm.stream import VllmTokenStream
from cosyserve.engine.interface import EngineDied, EngineNotReady
from support.engines import goldens, vllm
from support.engines.tiny_lm import read

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CONFIG = model_config(goldens.config()).lm
HOW = SamplingOptions(seed=1, loop_seconds=0, max_ratio=3)
TEXT = [1, 2]


class FakeEngine:
    """Gives these outputs to every request, or raises."""

    def __init__(
        self, outputs: list[tuple[list[int], str | None]], error: Exception | None
    ) -> None:
        self._outputs = outputs
        self._error = error
        self.prompts: list[list[int]] = []
        self.closed = 0

    async def generate(self, prompt: Any, params: Any, name: str) -> AsyncGenerator[Any]:
        try:
            if isinstance(prompt, AsyncGenerator):
                self.prompts.append((await anext(prompt)).prompt["prompt_token_ids"])
            else:
                self.prompts.append(prompt["prompt_token_ids"])
            for tokens, reason in self._outputs:
                yield SimpleNamespace(
                    outputs=[SimpleNamespace(token_ids=tokens, finish_reason=reason)]
                )
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


class FakeHost:
    def __init__(self, *outputs: tuple[list[int], str | None], error: Exception | None = None):
        self.options = VllmOptions(Path("none"), max_model_len=100)
        self.budget = KvBudget(KvCapacity(100, 32, 4))
        self.fake = FakeEngine(list(outputs), error)
        self.failures: list[BaseException] = []
        self.ready = True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def engine(self) -> Any:
        if not self.ready:
            raise EngineNotReady("no")
        return self.fake

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def stats(self) -> dict[str, float]:
        return {}


@pytest.fixture(autouse=True)
def _vllm() -> None:
    vllm.required()


async def begun(host: FakeHost, how: SamplingOptions = HOW) -> VllmTokenStream:
    lm = VllmSpeechLM(host, CONFIG, sessions=True)
    stream = lm.open(LmPrompt(), replace(how, bistream=False))
    await stream.feed(TEXT)
    await stream.finish()
    return stream


async def released(host: FakeHost, stream: VllmTokenStream) -> None:
    await stream.cancel()
    assert host.budget.streams == 0
    assert host.fake.closed == 1


@pytest.mark.parametrize(
    ("outputs", "heard"),
    [
        ([([5], None), ([6], "abort")], [5, 6]),
        ([([5], None)], [5]),
        ([], []),
        ([([5, 6], "length")], [5, 6]),
        ([([5, 6, 7, 8, 9, 10], None)], [5, 6, 7, 8, 9, 10]),
        ([([5, 6, 7, 8, 9, 10, 11], "length")], [5, 6, 7, 8, 9, 10]),
    ],
)
async def test_an_engine_that_ends_inputs_as_it_likes_fails_the_stream(
    outputs: list[tuple[list[int], str | None]],
    heard: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = FakeHost(*outputs)
    stream = await begun(host)
    found: list[int] = []
    with pytest.raises(LmFailed):  # noqa: PT012
        async for some in stream:
            found += some
    assert found == heard
    assert [str(error) for error in host.failures]
    assert "a request of the speech model failed" in caplog.text
    await released(host, stream)


async def test_a_dead_engine_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    death = EngineDeadError()
    host = FakeHost(([5], None), error=death)
    stream = await begun(host)
    assert await anext(stream) == [5]
    with pytest.raises(LmFailed):
        await anext(stream)
    assert host.failures == [death]
    assert not caplog.records
    await released(host, stream)


async def test_a_banned_id_stands_for_numbers_that_overflowed() -> None:
    host = FakeHost(([5], None), ([CONFIG.speech_token_size + 1], None))
    stream = await begun(host)
    assert await anext(stream) == [5]
    with pytest.raises(LmNotFinite):
        await anext(stream)
    assert not host.failures
    await released(host, stream)


class OutOfRange(Unistream):
    def next_input(self) -> LmInput | None:
        lm_input = super().next_input()
        return lm_input and replace(lm_input, ids=(*lm_input.ids, self.ids.size))


async def test_an_id_out_of_range_never_reaches_the_engine() -> None:
    host = FakeHost()
    lm = VllmSpeechLM(host, CONFIG)
    stream = lm.open_composition(OutOfRange(CONFIG, LmPrompt(), LmLimits(max_context=100)), HOW)
    await stream.feed(TEXT)
    await stream.finish()
    with pytest.raises(LmFailed):
        await read(stream)
    await stream.cancel()
    assert not host.fake.prompts
    assert host.budget.streams == 0


async def test_a_stream_larger_than_the_engine_allows_is_refused() -> None:
    host = FakeHost()
    lm = VllmSpeechLM(host, CONFIG)
    plan = Unistream(CONFIG, LmPrompt(), LmLimits(max_context=1000))
    stream = lm.open_composition(plan, replace(HOW, max_ratio=100))
    await stream.feed([1] * 90)
    await stream.finish()
    with pytest.raises(LmTooLong):
        await read(stream)
    await stream.cancel()
    assert not host.fake.prompts


async def test_an_engine_that_is_gone() -> None:
    host = FakeHost()
    lm = VllmSpeechLM(host, CONFIG)
    stream = lm.open(LmPrompt(), HOW)
    host.budget.close(EngineDied("gone"))
    await stream.feed(TEXT)
    await stream.finish()
    with pytest.raises(EngineDied, match="gone"):
        await read(stream)
    host.ready = False
    with pytest.raises(EngineNotReady):
        lm.open(LmPrompt(), HOW)
    await stream.cancel()


async def test_stop_ends_the_streams_that_are_open() -> None:
    host = FakeHost()
    lm = VllmSpeechLM(host, CONFIG)
    stream = lm.open(LmPrompt(), HOW)
    await lm.stop()
    with pytest.raises(EngineDied, match="stopped"):
        await read(stream)
    assert lm.stats()["lm_streams"] == 0


def test_a_window_longer_than_any_is_refused() -> None:
    lm = VllmSpeechLM(FakeHost(), CONFIG)
    with pytest.raises(ValueError, match="win"):
        lm.compose(LmPrompt(), replace(HOW, win=1000))
