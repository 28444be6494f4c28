from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from cosyserve.protocol.errors import EngineUnavailable, InternalError, ReferenceAudioNotFound
from cosyserve.server.voices import LocalStore, Reference, local
from cosyserve.server.voices.record import digest_of, encode_head
from support.peers.references import SOUND, make_reference
from support.tools.killed_put import killed_at_each_step


@pytest.fixture
async def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "deep" / "clips")
    await store.start()
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "clips"


def names(folder: Path) -> list[str]:
    """The files, without the folders of their owners."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def clip_path(folder: Path, reference_id: str, owner: str = "alice") -> Path:
    return folder / digest_of(owner) / f"{reference_id}.clip"


async def test_a_put_killed_at_any_step_leaves_a_whole_clip_or_none(folder: Path) -> None:
    result = await killed_at_each_step("local", str(folder))
    steps, ids = result["steps"], result["ids"]

    # The owner's folder is durable before anything is in it, the bytes before the name is, and the name
    # before the put returns.
    assert [step for step in steps if step != "write"] == [
        *("open", "fsync", "close"),
        *("open", "fsync", "close", "replace"),
        *("open", "fsync", "close"),
    ]
    assert steps.count("write") >= 4
    assert len(ids) == len(steps) + 1

    store = LocalStore(folder)
    await store.start()
    listed = [reference.id for reference in await store.list(None, 1000, "asc")]
    renamed = steps.index("replace") + 1
    assert listed == ids[renamed:]
    for reference_id in ids[:renamed]:
        with pytest.raises(ReferenceAudioNotFound):
            await store.get(None, reference_id)
    for reference_id in listed:
        assert await store.read(None, reference_id) == SOUND


async def test_old_leavings_are_swept_and_a_running_upload_is_not(
    store: LocalStore, folder: Path
) -> None:
    await store.put(reference := make_reference(), SOUND)
    mine = clip_path(folder, reference.id).parent
    old, young = mine / ".old.tmp", mine / ".young.tmp"
    for path in (old, young, folder / "operators.tmp", folder / ".operators"):
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    os.utime(young)
    await LocalStore(folder).start()
    assert names(folder) == sorted(
        [young.name, "operators.tmp", ".operators", f"{reference.id}.clip"]
    )


async def test_files_are_for_the_server_alone(store: LocalStore, folder: Path) -> None:
    old = os.umask(0)
    try:
        await store.put(reference := make_reference(), SOUND)
        await LocalStore(folder / "new").start()
    finally:
        os.umask(old)
    path = clip_path(folder, reference.id)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700
    assert names(folder) == [path.name]


async def test_a_place_that_is_no_folder_is_named_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"cannot be used.*{place}"):
            await LocalStore(place).start()


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EIO, "is unavailable")],
)
async def test_a_disk_that_fails_a_put_is_told_and_keeps_nothing(
    store: LocalStore,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(os, call, fail)
        with pytest.raises(EngineUnavailable, match=message) as refused:
            await store.put(make_reference(), SOUND)
    assert str(folder) not in refused.value.message
    assert [(line["event"], line["action"]) for line in logs] == [("reference_store_failed", "put")]
    assert os.strerror(code) in logs[0]["error"]
    assert names(folder) == []


async def test_a_name_that_could_not_be_made_durable_is_taken_back(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(before := make_reference(), SOUND)
    real: Callable[[int], None] = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "fails")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_for_folders)
        with pytest.raises(EngineUnavailable):
            await store.put(make_reference(), SOUND)
    assert names(folder) == [f"{before.id}.clip"]


async def test_a_file_system_without_durable_folders_will_do(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[int], None] = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not here")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    await store.put(reference := make_reference(), SOUND)
    assert await store.read("alice", reference.id) == SOUND


async def test_a_damaged_clip_is_reported_once_and_hides_no_other(
    store: LocalStore, folder: Path
) -> None:
    await store.put(whole := make_reference(), SOUND)
    bad = str(uuid.uuid4())
    clip_path(folder, bad).write_bytes(b"cosyclp1\0\0\0\2{]")
    with capture_logs() as logs:
        for _ in range(3):
            assert await store.list(None, 10, "asc") == [whole]
    assert [(line["event"], line["reference_id"]) for line in logs] == [("reference_damaged", bad)]
    for ask in (store.get, store.read, store.delete):
        with pytest.raises(ReferenceAudioNotFound):
            await ask(None, bad)


@pytest.mark.parametrize("cut", [0, 5, 12, 100, -1])
async def test_a_clip_cut_short_is_never_served(store: LocalStore, folder: Path, cut: int) -> None:
    await store.put(reference := make_reference(), SOUND)
    path = clip_path(folder, reference.id)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises((InternalError, ReferenceAudioNotFound)):
        await store.read("alice", reference.id)


async def test_damaged_sound_is_an_error_of_the_server(store: LocalStore, folder: Path) -> None:
    await store.put(reference := make_reference(), SOUND)
    path = clip_path(folder, reference.id)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with capture_logs() as logs, pytest.raises(InternalError, match="damaged"):
        await store.read("alice", reference.id)
    assert [line["event"] for line in logs] == ["reference_damaged"]
    await store.delete("alice", reference.id)
    assert names(folder) == []


async def test_a_file_that_cannot_be_read_hides_no_other(store: LocalStore, folder: Path) -> None:
    await store.put(whole := make_reference(), SOUND)
    clip_path(folder, str(uuid.uuid4())).mkdir()
    (folder / "notes.txt").write_text("an operator's")
    clip_path(folder, str(uuid.uuid4()).upper()).touch()
    with capture_logs() as logs:
        assert await store.list(None, 10, "asc") == [whole]
    assert [line["event"] for line in logs] == ["reference_unreadable"]


async def test_a_folder_that_vanished_is_no_empty_list(store: LocalStore, folder: Path) -> None:
    await asyncio.to_thread(folder.rmdir)
    with pytest.raises(EngineUnavailable):
        await store.list(None, 10, "asc")
    with pytest.raises(EngineUnavailable):
        await store.put(make_reference(), SOUND)


async def test_a_list_of_ten_thousand_reads_only_what_is_new(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = [make_reference(created_at=n // 7) for n in range(10_000)]
    await store.put(others := make_reference("bob"), SOUND)

    def fill() -> None:
        clip_path(folder, "").parent.mkdir()
        for n, reference in enumerate(references):
            clip = encode_head(reference, n, SOUND) + SOUND
            clip_path(folder, reference.id).write_bytes(clip)

    await asyncio.to_thread(fill)
    reads = []
    real = local._read_head

    def counted(path: Path, reference_id: str) -> object:
        reads.append(reference_id)
        return real(path, reference_id)

    monkeypatch.setattr(local, "_read_head", counted)
    assert await store.list("bob", 1000, "asc") == [others]
    assert await store.count("bob") == 1
    with pytest.raises(ReferenceAudioNotFound):
        await store.named("bob", "anna")
    assert reads == [others.id]
    reads.clear()
    assert await store.list("alice", 1000, "asc") == references[:1000]
    assert len(reads) == 10_000
    reads.clear()
    assert await store.list("alice", 1000, "desc") == references[:-1001:-1]
    assert reads == []
    await store.put(newest := make_reference(created_at=10**6, name="anna"), SOUND)
    assert await store.list("alice", 1, "desc") == [newest]
    assert await store.named("alice", "anna") == newest
    assert reads == [newest.id]


async def test_an_owners_folder_that_was_removed_is_made_again(
    store: LocalStore, folder: Path
) -> None:
    await store.put(reference := make_reference(), SOUND)
    await store.delete("alice", reference.id)
    await asyncio.to_thread(clip_path(folder, "").parent.rmdir)
    assert await store.list("alice", 10, "asc") == []
    await store.put(reference := make_reference(), SOUND)
    assert await store.list("alice", 10, "asc") == [reference]


async def test_one_owners_listing_waits_for_no_others(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("alice", "bob"):
        await store.put(make_reference(owner), SOUND)
    held, go_on = threading.Event(), threading.Event()
    real = local._Shelf.heads

    def hold(shelf: local._Shelf) -> object:
        if shelf.folder.name == digest_of("alice"):
            held.set()
            assert go_on.wait(60)
        return real(shelf)

    monkeypatch.setattr(local._Shelf, "heads", hold)
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(store.list("alice", 10, "asc"))
        await asyncio.to_thread(held.wait)
        assert len(await store.list("bob", 10, "asc")) == 1
        go_on.set()


async def test_clips_that_lie_in_the_folder_itself_are_given_to_their_owners(
    store: LocalStore, folder: Path
) -> None:
    references = [make_reference(owner) for owner in ("alice", "bob")]
    for reference in references:
        clip = encode_head(reference, 1, SOUND) + SOUND
        (folder / f"{reference.id}.clip").write_bytes(clip)
    (folder / f"{uuid.uuid4()}.clip").write_bytes(b"damaged")
    (folder / f"{uuid.uuid4()}.clip").symlink_to("/proc/self/mem")  # cannot be read
    with capture_logs() as logs:
        await LocalStore(folder).start()
    events = sorted(line["event"] for line in logs)
    assert events == ["reference_damaged", "reference_unreadable"]
    for reference in references:
        assert await store.list(reference.owner, 10, "asc") == [reference]
        assert await store.read(None, reference.id) == SOUND


operations = st.lists(
    st.tuples(st.sampled_from(["alice", "bob"]), st.integers(0, 3), st.sampled_from([0, 1]))
)


@given(operations, st.sampled_from(["alice", "bob", None]), st.integers(1, 12))
@settings(max_examples=40)
def test_any_history_over_two_stores_is_listed_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, int, int]],
    owner: str | None,
    limit: int,
) -> None:
    folder = tmp_path_factory.mktemp("clips")

    async def run() -> None:
        stores = [LocalStore(folder), LocalStore(folder)]
        model: list[Reference] = []
        for name, second, which in history:
            reference = make_reference(owner=name, created_at=second)
            await stores[which].put(reference, SOUND)
            model.append(reference)
        model.sort(key=lambda reference: reference.created_at)
        seen = [reference for reference in model if owner in (reference.owner, None)]
        for store in stores:
            assert await store.list(owner, limit, "asc") == seen[:limit]
            assert await store.list(owner, limit, "desc") == seen[::-1][:limit]

    asyncio.run(run())
