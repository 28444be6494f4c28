"""Sounds that have an address of their own: how long they stay, and for what they go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosyserve.server.delivery import KeptSound, KeptSounds, Spools
from cosyserve.server.delivery.spool import FILES_EACH_TOKEN, MEMORY_EACH

FOR_EVER = 3600.0


@dataclass
class Limits:
    spool_bytes: int = 4 * MEMORY_EACH
    spool_bytes_per_token: int = 2 * MEMORY_EACH
    spool_wait: float = 0.0
    max_whole_bytes: int = 2 * MEMORY_EACH


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    spools = Spools(tmp_path, Limits())
    spools.start()
    yield spools
    assert (spools.open_now, spools.size, spools.size_in_memory) == (0, 0, 0)
    spools.stop()


async def kept(spools: Spools, sounds: KeptSounds, owner: str, size: int) -> KeptSound:
    spool = spools.open(owner)
    await spool.write(bytes(size))
    return sounds.keep(spool, "audio/wav")


def there(sounds: KeptSounds, sound: KeptSound) -> bool:
    with sounds.reading(sound.name) as found:
        return found is sound


async def test_a_sound_goes_when_its_time_is_over(spools: Spools) -> None:
    gone = asyncio.Event()
    sounds = KeptSounds(spools, 0.01)
    sound = await kept(spools, sounds, "alice", 1000)
    closed = sound.spool.close

    def close() -> None:
        closed()
        gone.set()

    sound.spool.close = close  # type: ignore[method-assign]
    await gone.wait()
    assert not there(sounds, sound)


async def test_one_that_is_read_stays_until_it_was(spools: Spools) -> None:
    sounds = KeptSounds(spools, FOR_EVER)
    sound = await kept(spools, sounds, "alice", 1000)
    with sounds.reading(sound.name):
        sounds.close()
        assert not there(sounds, sound)
        assert await sound.spool.read(0, 3) == bytes(3)
    assert spools.open_now == 0


async def test_the_oldest_of_the_token_give_way_to_its_answers(spools: Spools) -> None:
    sounds = KeptSounds(spools, FOR_EVER)
    others = await kept(spools, sounds, "bob", MEMORY_EACH)
    own = [await kept(spools, sounds, "alice", MEMORY_EACH) for _ in range(2)]
    with spools.open("alice") as spool:
        await spool.write(bytes(MEMORY_EACH))
        assert [there(sounds, each) for each in (others, *own)] == [True, False, True]
    sounds.close()


async def test_anybodys_give_way_where_the_room_of_all_is_full(spools: Spools) -> None:
    sounds = KeptSounds(spools, FOR_EVER)
    owners = ("bob", "bob", "carol", "carol")
    others = [await kept(spools, sounds, owner, MEMORY_EACH) for owner in owners]
    with spools.open("alice") as spool, sounds.reading(others[0].name):
        await spool.write(bytes(MEMORY_EACH))
        assert [there(sounds, each) for each in others] == [True, False, True, True]
    sounds.close()


async def test_they_give_their_files_to_answers(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosyserve.server.delivery.spool.MEMORY_ALL", 0)
    sounds = KeptSounds(spools, FOR_EVER)
    first = await kept(spools, sounds, "alice", 1)
    for _ in range(FILES_EACH_TOKEN):
        await kept(spools, sounds, "alice", 1)
    assert len(sounds) == FILES_EACH_TOKEN
    assert not there(sounds, first)
    sounds.close()
