"""Every kind of session that there is keeps what engine.interface.Session promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from cosyserve.benchmarks.load.timed_engine import VOICE, TimedEngine
from cosyserve.engine.interface import Prompt, SynthesisOptions
from cosyserve.server.ssml import open_ssml
from support.engines import cosyvoice, embedded
from support.engines.fake_engine import FakeEngine
from support.engines.faulty_engine import FaultyEngine
from support.engines.session_contract import CONTRACT, Subject
from support.engines.tiny_checkpoint import build

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPTIONS = SynthesisOptions()
PLAIN = Prompt("plain")
DOCUMENTS = ("<speak>One two. Three.</speak>", "<speak>Four <break time='10ms'/>five.</speak>")


@asynccontextmanager
async def of_embedded(folder: Path) -> AsyncIterator[Subject]:
    async with embedded.running() as engine:
        voice = embedded.voice_of(engine, "alba")
        yield Subject(lambda: engine.open_session(voice, OPTIONS))


@asynccontextmanager
async def of_cosyvoice(folder: Path) -> AsyncIterator[Subject]:
    async with cosyvoice.running(build(folder)) as engine:
        voice = await engine.prepare_prompt(cosyvoice.reference())
        yield Subject(lambda: engine.open_session(voice, OPTIONS))


@asynccontextmanager
async def of_ssml(folder: Path) -> AsyncIterator[Subject]:
    engine = FakeEngine()
    await engine.start()
    yield Subject(lambda: open_ssml(engine, PLAIN, OPTIONS), DOCUMENTS)


@asynccontextmanager
async def of_plain_text_as_ssml(folder: Path) -> AsyncIterator[Subject]:
    engine = FakeEngine()
    await engine.start()
    yield Subject(lambda: open_ssml(engine, PLAIN, OPTIONS))


@asynccontextmanager
async def of_ssml_on_embedded(folder: Path) -> AsyncIterator[Subject]:
    async with embedded.running() as engine:
        voice = embedded.voice_of(engine, "alba")
        yield Subject(lambda: open_ssml(engine, voice, OPTIONS), DOCUMENTS)


@asynccontextmanager
async def of_a_clock(folder: Path) -> AsyncIterator[Subject]:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=0.001)
    await engine.start()
    yield Subject(lambda: engine.open_session(Prompt(VOICE), OPTIONS), tells_all=False)
    await engine.stop()


@asynccontextmanager
async def of_a_clock_flat_out(folder: Path) -> AsyncIterator[Subject]:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=0)
    yield Subject(lambda: engine.open_session(Prompt(VOICE), OPTIONS), tells_all=False)


@asynccontextmanager
async def of_a_fake(folder: Path) -> AsyncIterator[Subject]:
    engine = FakeEngine()
    await engine.start()
    yield Subject(lambda: engine.open_session(PLAIN, OPTIONS))


@asynccontextmanager
async def of_a_fake_without_a_fault(folder: Path) -> AsyncIterator[Subject]:
    engine = FaultyEngine()
    await engine.start()
    yield Subject(lambda: engine.open_session(PLAIN, OPTIONS))


KINDS = (
    of_embedded,
    of_cosyvoice,
    of_ssml,
    of_plain_text_as_ssml,
    of_ssml_on_embedded,
    of_a_clock,
    of_a_clock_flat_out,
    of_a_fake,
    of_a_fake_without_a_fault,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Subject]:
    async with request.param(tmp_path_factory.mktemp("model")) as subject:
        yield subject


@pytest.mark.parametrize("promise", CONTRACT)
async def test_it_is_kept(subject: Subject, promise: Callable[[Subject], Awaitable[None]]) -> None:
    await promise(subject)
