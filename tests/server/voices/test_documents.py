"""Documents beside the references, in a folder and in a bucket."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cosyserve.engine.files import STALE_SECONDS
from cosyserve.protocol.errors import EngineUnavailable
from cosyserve.server.voices import LocalStore, ReferenceStore
from support.peers.references import SOUND, make_reference

Opener = Callable[[], Awaitable[ReferenceStore]]
ONE, OTHER = str(uuid.uuid4()), str(uuid.uuid4())


async def test_documents_are_kept_by_owner_and_kind(opener: Opener) -> None:
    store = await opener()
    documents = store.documents("letters")
    assert await documents.ids("ann") == []
    assert await documents.get("ann", ONE) is None
    await documents.put("ann", ONE, b"1")
    await documents.put("ann", OTHER, b"2")
    await documents.put("ann", ONE, b"3")
    await documents.put("", ONE, b"everybody's")
    for seen in (documents, (await opener()).documents("letters")):
        assert sorted(await seen.ids("ann")) == sorted([ONE, OTHER])
        assert await seen.get("ann", ONE) == b"3"
        assert await seen.get("bob", ONE) is None
        assert await seen.ids("bob") == []
        assert await seen.get("", ONE) == b"everybody's"
    assert await store.documents("others").ids("ann") == []
    await documents.delete("ann", ONE)
    await documents.delete("ann", ONE)
    assert await documents.ids("ann") == [OTHER]


@pytest.mark.parametrize(
    "template", ["", ".", "..", "../x", "{}.json", "{}/", "{}\0", "\ud800", "é"]
)
async def test_what_is_no_id_names_nothing(opener: Opener, template: str) -> None:
    documents = (await opener()).documents("letters")
    await documents.put("ann", ONE, b"1")
    assert await documents.get("ann", template.format(ONE)) is None


async def test_references_and_documents_do_not_see_each_other(opener: Opener) -> None:
    store = await opener()
    reference = make_reference(owner="ann")
    await store.put(reference, SOUND)
    await store.documents("letters").put("ann", ONE, b"1")
    assert [each.id for each in await store.list(None, 10, "asc")] == [reference.id]
    assert await store.documents("letters").ids("ann") == [ONE]


def left_behind(folder: Path) -> Path:
    """A file that was begun long ago beside the one document, which its owner alone can read."""
    [kept] = folder.glob("letters/*/*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    left = kept.with_name(".0.tmp")
    left.touch()
    begun = time.time() - 2 * STALE_SECONDS
    os.utime(left, (begun, begun))
    return left


async def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.start()
    await store.documents("letters").put("ann", ONE, b"1")
    await store.stop()
    left = left_behind(tmp_path)
    store = LocalStore(tmp_path)
    await store.start()
    assert await store.documents("letters").get("ann", ONE) == b"1"
    await store.stop()
    assert not left.exists()


async def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.start()
    (tmp_path / "letters").write_bytes(b"no folder")
    documents = store.documents("letters")
    for call in (
        documents.put("ann", ONE, b"1"),
        documents.get("ann", ONE),
        documents.ids("ann"),
        documents.delete("ann", ONE),
    ):
        with pytest.raises(EngineUnavailable, match="unavailable"):
            await call
    await store.stop()
