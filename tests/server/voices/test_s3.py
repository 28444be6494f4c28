from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.errors import EngineUnavailable, InternalError, ReferenceAudioNotFound
from cosyserve.server.voices import S3Options, S3Store
from cosyserve.server.voices.record import encode_head
from cosyserve.server.voices.s3_bucket import Bucket
from support.peers.references import SOUND, make_reference
from support.peers.s3 import line_to, options
from support.tools.killed_put import killed_at_each_step


@pytest.fixture
async def store(s3: str, bucket: str) -> AsyncIterator[S3Store]:
    store = S3Store(options(s3, bucket, stale_after=0))
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def raw(s3: str, bucket: str) -> AsyncIterator[Bucket]:
    """The store's bucket, to look behind its back."""
    raw = Bucket(options(s3, bucket))
    await raw.open()
    yield raw
    await raw.close()


async def keys(raw: Bucket) -> list[str]:
    return [listed.key async for page in raw.pages("") for listed in page]


async def test_a_clip_is_two_objects_and_leaves_none(store: S3Store, raw: Bucket) -> None:
    await store.put(reference := make_reference(owner="a/../b"), SOUND)
    clip, entry = await keys(raw)
    assert clip == f"references/clips/{reference.id}"
    assert entry.startswith("references/index/")
    assert entry.endswith(f"-{reference.id}")
    assert ".." not in entry
    assert entry.count("/") == 3
    await store.delete(None, reference.id)
    assert await keys(raw) == []


async def test_a_name_is_one_object_more_and_goes_with_its_clip(
    store: S3Store, raw: Bucket
) -> None:
    await store.put(reference := make_reference(owner="a/../b", name="../anna"), SOUND)
    clip, entry, named = await keys(raw)
    assert (clip.split("/")[1], entry.split("/")[1]) == ("clips", "index")
    assert named.startswith("references/names/")
    assert named.rpartition("/")[2] == entry.rpartition("/")[2]
    assert ".." not in named
    assert named.count("/") == 4
    await store.delete(None, reference.id)
    assert await keys(raw) == []


async def test_a_put_killed_at_any_request_leaves_a_whole_clip_or_none(
    s3: str, bucket: str, store: S3Store, raw: Bucket
) -> None:
    result = await killed_at_each_step("s3", s3, bucket)
    ids = result["ids"]
    assert result["steps"] == ["PutObject index", "PutObject names", "PutObject clips"]
    assert [reference.id for reference in await store.list(None, 10, "asc")] == ids[3:]
    assert (await store.named("alice", "anna")).id == ids[3]
    assert await store.read("alice", ids[3]) == SOUND
    for killed in ids[:3]:
        with pytest.raises(ReferenceAudioNotFound):
            await store.read(None, killed)
    await store.delete("alice", ids[3])
    with pytest.raises(ReferenceAudioNotFound):
        await store.named("alice", "anna")
    # The looks have swept the entries that were left, since here entries are old at once.
    assert await keys(raw) == []


@pytest.mark.parametrize("step", range(3))
async def test_a_delete_cut_off_at_any_request_leaves_a_whole_clip_or_none(
    store: S3Store, raw: Bucket, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    await store.put(reference := make_reference(name="anna"), SOUND)
    real, done = store._bucket.delete, []

    async def cut_off(key: str) -> None:
        if len(done) == step:
            raise EngineUnavailable("cut off")
        done.append(key)
        await real(key)

    with monkeypatch.context() as patch:
        patch.setattr(store._bucket, "delete", cut_off)
        with pytest.raises(EngineUnavailable):
            await store.delete("alice", reference.id)
    if step == 0:
        assert await store.named("alice", "anna") == reference
        assert await store.read("alice", reference.id) == SOUND
        return
    for owner in ("alice", None):
        with pytest.raises(ReferenceAudioNotFound):
            await store.named(owner, "anna")
    assert await store.list("alice", 10, "desc") == []
    assert await keys(raw) == []


async def test_a_young_entry_without_a_clip_is_an_upload_on_its_way(
    s3: str, bucket: str, raw: Bucket
) -> None:
    store = S3Store(options(s3, bucket))
    await store.start()
    await store.put(whole := make_reference(name="anna"), SOUND)
    await store.put(coming := make_reference(name="anna"), SOUND)
    await raw.delete(f"references/clips/{coming.id}")
    before = await keys(raw)
    assert await store.list("alice", 1, "desc") == [whole]
    assert await store.named("alice", "anna") == whole
    assert await keys(raw) == before
    await store.stop()


async def test_a_list_of_more_than_a_page_of_the_service_is_whole(
    s3: str, bucket: str, raw: Bucket
) -> None:
    store = S3Store(options(s3, bucket))
    await store.start()
    await store.put(oldest := make_reference(created_at=1), SOUND)
    await store.put(newest := make_reference(created_at=10**10), SOUND)
    owner = [key for key in await keys(raw) if oldest.id in key][1].rpartition("/")[0]
    # Entries without clips, between the two; unsigned, because that is four times as fast.
    async with aiohttp.ClientSession() as client:
        for second in range(1100):
            key = f"{owner}/{10**12 - 100_000 - second:012d}{0:020d}-{uuid.uuid4()}"
            async with client.put(f"{s3}/{bucket}/{key}") as answer:
                assert answer.status == 200
    pages = [page async for page in raw.pages("references/index/")]
    assert [len(page) for page in pages] == [1000, 102]
    assert pages[0][0].key.endswith(newest.id)
    assert await store.list("alice", 1, "desc") == [newest]
    assert await store.list("alice", 1, "asc") == [oldest]
    await store.stop()


async def test_a_list_asks_for_no_more_than_it_returns(
    s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store(options(s3, bucket, page_size=4))
    await store.start()
    references = [make_reference(created_at=n, name="anna") for n in range(10)]
    for reference in references:
        await store.put(reference, SOUND)
    client = store._bucket._client
    real, calls = client._make_api_call, []

    async def counted(operation: str, arguments: Any) -> Any:
        calls.append(operation)
        return await real(operation, arguments)

    monkeypatch.setattr(client, "_make_api_call", counted)

    def counts() -> list[int]:
        counts = [calls.count(name) for name in ("ListObjectsV2", "GetObject")]
        assert sum(counts) == len(calls)
        calls.clear()
        return counts

    async def requests(owner: str | None, limit: int, order: Literal["asc", "desc"]) -> list[int]:
        assert len(await store.list(owner, limit, order)) == min(limit, 10)
        return counts()

    assert await requests("alice", 3, "desc") == [1, 3]
    assert await requests("alice", 4, "desc") == [1, 4]
    assert await requests("alice", 5, "desc") == [2, 5]
    assert await requests("alice", 3, "asc") == [3, 3]
    assert await requests(None, 3, "desc") == [3, 3]
    assert await requests("alice", 100, "desc") == [3, 10]
    assert await store.named("alice", "anna") == references[-1]
    assert counts() == [1, 1]
    assert await store.named(None, "anna") == references[-1]
    assert counts() == [3, 1]
    await store.stop()


async def test_an_id_put_again_is_listed_once(store: S3Store, raw: Bucket) -> None:
    await store.put(before := make_reference(created_at=1, name="anna"), SOUND)
    await store.put(after := replace(before, created_at=2, owner="bob", name="eve"), SOUND)
    assert await store.list(None, 10, "desc") == [after]
    with pytest.raises(ReferenceAudioNotFound):
        await store.named(None, "anna")
    assert await store.named(None, "eve") == after
    assert len(await keys(raw)) == 3


@pytest.mark.parametrize("body", [b"", b"nonsense of some length", b"cosyclp1\0\0\1\0{}"])
async def test_a_damaged_clip_is_reported_and_hides_no_other(
    store: S3Store, raw: Bucket, body: bytes
) -> None:
    await store.put(whole := make_reference(name="anna"), SOUND)
    await store.put(bad := make_reference(name="anna"), SOUND)
    await raw.put(f"references/clips/{bad.id}", body)
    for named in (False, True):
        with capture_logs() as logs:
            if named:
                assert await store.named("alice", "anna") == whole
            else:
                assert await store.list("alice", 1, "desc") == [whole]
        assert [(line["event"], line["reference_id"]) for line in logs] == [
            ("reference_damaged", bad.id)
        ]
    for ask in (store.get, store.read, store.delete):
        with pytest.raises(ReferenceAudioNotFound):
            await ask("alice", bad.id)


async def test_damaged_sound_is_an_error_of_the_server(store: S3Store, raw: Bucket) -> None:
    await store.put(reference := make_reference(), SOUND)
    body = encode_head(reference, 1, SOUND) + SOUND[:-1]
    await raw.put(f"references/clips/{reference.id}", body)
    with pytest.raises(InternalError, match="damaged"):
        await store.read("alice", reference.id)


async def test_keys_of_others_in_the_bucket_do_no_harm(store: S3Store, raw: Bucket) -> None:
    await store.put(reference := make_reference(), SOUND)
    for key in ("references/index/x", "references/index/x/" + "0" * 32 + "-" + "x" * 36, "other"):
        await raw.put(key, b"?")
    assert await store.list(None, 10, "desc") == [reference]
    assert len(await keys(raw)) == 5


@pytest.mark.parametrize("mode", ["drop", "stall"])
async def test_a_service_that_fails_later_is_unavailable_and_logged(
    s3: str, bucket: str, mode: Literal["drop", "stall"]
) -> None:
    async with line_to(s3) as line:
        store = S3Store(
            # An upload waits for leave to go on, without a read timeout: the call's ends that.
            options(line.address, bucket, attempts=1, read_timeout=0.5, call_timeout=2.0)
        )
        await store.start()
        await store.put(reference := make_reference(), SOUND)
        line.mode = mode
        calls = (
            lambda: store.put(make_reference(), SOUND),
            lambda: store.get("alice", reference.id),
            lambda: store.read("alice", reference.id),
            lambda: store.list("alice", 10, "desc"),
            lambda: store.named("alice", "anna"),
            lambda: store.delete("alice", reference.id),
        )
        for call in calls:
            with capture_logs() as logs, pytest.raises(EngineUnavailable) as refused:
                await call()
            assert line.address not in refused.value.message
            assert {entry["event"] for entry in logs} == {"reference_store_failed"}
        line.mode = "pass"
        assert await store.read("alice", reference.id) == SOUND
        await store.stop()


async def test_a_whole_call_has_a_time_limit_however_many_attempts(s3: str, bucket: str) -> None:
    async with line_to(s3) as line:
        store = S3Store(options(line.address, bucket, read_timeout=60, call_timeout=1))
        await store.start()
        line.mode = "stall"
        with pytest.raises(EngineUnavailable):
            await store.get("alice", str(uuid.uuid4()))
        await store.stop()


async def test_a_bucket_that_is_not_there_is_named_at_start(s3: str) -> None:
    store = S3Store(options(s3, "missing"))
    with pytest.raises(OSError, match=r"'missing' at http.*there is no such bucket"):
        await store.start()
    await store.stop()


async def test_a_service_that_is_not_there_is_named_at_start(s3: str, bucket: str) -> None:
    async with line_to(s3) as line:
        line.mode = "drop"
        store = S3Store(options(line.address, bucket, attempts=1))
        with pytest.raises(OSError, match=f"at {line.address} cannot be used"):
            await store.start()


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://a b"])
async def test_a_wrong_endpoint_is_named_at_start(endpoint: str) -> None:
    with pytest.raises(OSError, match="cannot be used"):
        await S3Store(options(endpoint, "bucket", attempts=1)).start()


async def test_missing_keys_are_named_at_start(
    s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(OSError, match="no credentials"):
        await S3Store(options(s3, bucket, access_key=None, secret_key=None)).start()


async def test_without_the_library_the_remedy_is_told(
    s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cosyserve.server.voices.s3_bucket", None)
    with pytest.raises(OSError, match=r"pip install 'cosyserve\[s3\]'"):
        await S3Store(options(s3, bucket)).start()


def test_the_package_is_imported_without_the_library() -> None:
    program = (
        "import sys; sys.modules.update(aiobotocore=None, botocore=None);"
        "from cosyserve.server.voices import S3Store, open_store; open_store('s3://bucket')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_a_store_that_is_not_started_says_so() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await S3Store(S3Options("bucket")).get("alice", str(uuid.uuid4()))
