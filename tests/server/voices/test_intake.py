"""How many uploads are worked on at once, whose, and how many references they may become."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosyserve.protocol.errors import InvalidAudio, TooManyReferences
from cosyserve.server.voices import LocalStore
from cosyserve.server.voices import intake as intakes
from cosyserve.server.voices.book import VoiceBook
from cosyserve.server.voices.clip import Clip, ClipLimits
from cosyserve.server.voices.intake import Upload, UploadDesk
from support.engines.fake_engine import FakeEngine
from support.listening.audio import make_file, speechlike

MIB = 1024**2


@dataclass
class Options:
    min_reference_seconds: float = 1.0
    max_reference_seconds: float = 30.0
    max_upload_bytes: int = 20 * MIB
    upload_threads: int = 2
    upload_memory: int = 256 * MIB
    max_references_per_token: int = 3


class Held:
    """Holds decoding back. began: a permit for each that has begun; go_on: lets them all go on."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go_on = threading.Event()

    async def begun(self) -> None:
        await asyncio.to_thread(self.began.acquire)

    @property
    def another_began(self) -> bool:
        return self.began.acquire(blocking=False)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held, real = Held(), intakes.decode_clip

    def decode(data: bytes, pcm_rate: int | None, limits: ClipLimits) -> Clip:
        held.began.release()
        assert held.go_on.wait(60)
        return real(data, pcm_rate, limits)

    monkeypatch.setattr(intakes, "decode_clip", decode)
    yield held
    held.go_on.set()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")


def intake_of(store: LocalStore, options: Options | None = None) -> UploadDesk:
    options = options or Options()
    return UploadDesk(VoiceBook(FakeEngine(), store, ClipLimits.of(options)), store, options)


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        (Options(), 2),
        (Options(upload_threads=256), 5),
        (Options(upload_threads=256, max_reference_seconds=600), 1),
        (Options(upload_memory=1), 1),
    ],
)
def test_memory_bounds_how_many_are_worked_on(
    tmp_path: Path, options: Options, at_once: int
) -> None:
    assert intake_of(LocalStore(tmp_path), options).at_once == at_once


async def test_one_upload_of_each_owner_is_worked_on_at_a_time(
    store: LocalStore, held: Held, clip: bytes
) -> None:
    intake = intake_of(store, Options(upload_threads=4))
    async with asyncio.TaskGroup() as group:
        for owner in ("alice", "alice", "alice", "bob"):
            group.create_task(intake.take(Upload(owner, owner, clip, "a.wav", "text")))
        await held.begun()
        await held.begun()
        # Both names are taken by look-ups that wait for no thread, so a third would have begun by now.
        assert await store.count("alice") == await store.count("bob") == 0
        assert not held.another_began
        held.go_on.set()
    assert (await store.count("alice"), await store.count("bob")) == (3, 1)


async def test_no_more_than_the_threads_are_worked_on(
    store: LocalStore, held: Held, clip: bytes
) -> None:
    intake = intake_of(store, Options(upload_threads=2))
    async with asyncio.TaskGroup() as group:
        for owner in ("alice", "bob", "carol", "dave"):
            group.create_task(intake.take(Upload(owner, owner, clip, "a.wav", "text")))
        await held.begun()
        await held.begun()
        assert await store.count("carol") == 0
        assert not held.another_began
        held.go_on.set()
    assert [await store.count(owner) for owner in ("alice", "bob", "carol", "dave")] == [1] * 4


async def test_who_is_cancelled_keeps_the_place_until_the_thread_is_free_and_stores_nothing(
    store: LocalStore, held: Held, clip: bytes
) -> None:
    intake = intake_of(store, Options(upload_threads=1))
    first = asyncio.create_task(intake.take(Upload("alice", "alice", clip, "a.wav", "text")))
    await held.begun()
    second = asyncio.create_task(intake.take(Upload("bob", "bob", clip, "b.wav", "text")))
    first.cancel()
    assert await store.count("bob") == 0
    assert not held.another_began
    assert not first.done()
    held.go_on.set()
    assert (await second).owner == "bob"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await store.count("alice") == 0


async def test_references_have_a_limit_per_owner(store: LocalStore, clip: bytes) -> None:
    intake = intake_of(store)

    async def take(owner: str, file: bytes = clip) -> str:
        return (await intake.take(Upload(owner, owner, file, "a.wav", "text"))).id

    results = await asyncio.gather(*(take("alice") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in results] == [str] * 3 + [TooManyReferences] * 2
    with pytest.raises(TooManyReferences, match="at most 3 references"):
        await take("alice")
    await take("bob")
    with pytest.raises(InvalidAudio):
        await take("bob", b"")
    await store.delete("alice", results[0])  # type: ignore[arg-type]
    await take("alice")
