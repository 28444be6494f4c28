"""What every reference store does, asked of each of them."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.server.voices import Reference, ReferenceStore
from cosyserve.server.voices.consent import Consent
from support.peers.references import SOUND, make_reference

Opener = Callable[[], Awaitable[ReferenceStore]]

HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "/etc/passwd",
    "..\\..\\secret",
    "C:\\secret",
    "a\0b",
    "*",
    "{id}\0",
    "{id}\n",
    "{id}/",
    "{id}/../{id}",
    "../{id}",
    "./{id}",
    " {id}",
    "{id}.clip",
    "{ID}",
    "{{{id}}}",
    "urn:uuid:{id}",
    "{hex}",
    "{wide}",
    "\ud800",
    "é" * 36,
    "x" * 100_000,
]


def hostile(template: str, reference_id: str) -> str:
    """The template, filled with the id of a clip that exists."""
    wide = "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in reference_id)
    return template.format(
        id=reference_id, ID=reference_id.upper(), hex=reference_id.replace("-", ""), wide=wide
    )


async def ids(store: ReferenceStore, owner: str | None = None, **how: object) -> list[str]:
    listed = await store.list(owner, how.get("limit", 1000), how.get("order", "asc"))  # type: ignore[arg-type]
    return [reference.id for reference in listed]


async def test_a_clip_comes_back_as_it_was_put(store: ReferenceStore) -> None:
    plain, pcm = make_reference(), replace(make_reference(), pcm_rate=16000)
    await store.put(plain, SOUND)
    await store.put(pcm, SOUND)
    assert await store.get("alice", plain.id) == plain
    assert await store.get("alice", pcm.id) == pcm
    assert await store.read("alice", plain.id) == SOUND
    assert await store.list("alice", 10, "asc") == [plain, pcm]


async def test_consent_is_kept_and_listed(store: ReferenceStore) -> None:
    consent = Consent("Anna \u5c0f\u7f8e", "2026-01-31", "n" * 1000)
    reference = replace(make_reference(), consent=consent)
    await store.put(reference, SOUND)
    assert await store.get("alice", reference.id) == reference
    assert await store.list("alice", 10, "asc") == [reference]
    assert await store.read("alice", reference.id) == SOUND


async def test_odd_names_texts_and_sounds_are_kept(store: ReferenceStore) -> None:
    data = b"\0\n\r" * 100_000
    reference = make_reference(
        owner="../a/b\0\n🙂\ud800",
        data=data,
        filename="../../x\udcff\0.wav",
        text="你好，\n" * 20_000,
    )
    await store.put(reference, data)
    assert await store.get(reference.owner, reference.id) == reference
    assert await store.read(reference.owner, reference.id) == data
    assert await store.list(reference.owner, 10, "desc") == [reference]


async def test_an_empty_clip_is_a_clip(store: ReferenceStore) -> None:
    reference = make_reference(data=b"")
    await store.put(reference, b"")
    assert await store.read("alice", reference.id) == b""


async def test_a_size_that_is_not_the_clips_is_refused(store: ReferenceStore) -> None:
    with pytest.raises(ValueError, match="bytes is 1024"):
        await store.put(make_reference(), SOUND[:-1])
    assert await ids(store) == []


async def test_an_unknown_id_is_not_found(store: ReferenceStore) -> None:
    unknown = str(uuid.uuid4())
    for ask in (store.get, store.read, store.delete):
        with pytest.raises(ReferenceAudioNotFound, match=unknown):
            await ask("alice", unknown)


async def test_another_owners_clip_is_as_if_it_were_not_there(store: ReferenceStore) -> None:
    reference = make_reference(owner="alice")
    await store.put(reference, SOUND)
    for ask in (store.get, store.read, store.delete):
        with pytest.raises(ReferenceAudioNotFound) as refused:
            await ask("bob", reference.id)
        assert refused.value.message == f"no reference audio has the id '{reference.id}'"
    assert await ids(store, "bob") == []
    assert await store.read("alice", reference.id) == SOUND


async def test_without_an_owner_all_clips_are_seen(store: ReferenceStore) -> None:
    references = [make_reference(owner=name) for name in ("alice", "bob", "carol")]
    for reference in references:
        await store.put(reference, SOUND)
    assert await store.list(None, 10, "asc") == references
    assert await store.list(None, 10, "desc") == references[::-1]
    assert await store.read(None, references[1].id) == SOUND
    await store.delete(None, references[1].id)
    assert await ids(store, "bob") == []


async def test_a_name_is_the_newest_clip_that_has_it(store: ReferenceStore) -> None:
    old, new, other = (make_reference(name=name) for name in ("anna", "anna", "Anna"))
    late = replace(make_reference(name="anna"), created_at=old.created_at - 1)
    for reference in (old, new, other, late, make_reference()):
        await store.put(reference, SOUND)
    assert await store.named("alice", "anna") == await store.named(None, "anna") == new
    assert await store.named("alice", "Anna") == other
    await store.delete("alice", new.id)
    assert await store.named("alice", "anna") == old
    await store.delete("alice", old.id)
    assert await store.named("alice", "anna") == late
    await store.delete("alice", late.id)
    with pytest.raises(ReferenceAudioNotFound):
        await store.named("alice", "anna")


async def test_another_owners_name_is_as_if_it_were_not_there(store: ReferenceStore) -> None:
    mine, theirs = make_reference(name="anna"), make_reference(owner="bob", name="anna")
    await store.put(mine, SOUND)
    for name in ("anna", "ann"):
        with pytest.raises(ReferenceAudioNotFound) as refused:
            await store.named("bob", name)
        assert refused.value.message == f"no reference audio has the name '{name}'"
    await store.put(theirs, SOUND)
    assert await store.named("alice", "anna") == mine
    assert await store.named("bob", "anna") == theirs
    assert await store.named(None, "anna") == theirs
    await store.delete("bob", theirs.id)
    assert await store.named(None, "anna") == mine


async def test_any_string_can_be_asked_for_as_a_name(store: ReferenceStore) -> None:
    await store.put(nameless := make_reference(), SOUND)
    odd = make_reference(name="../🙂\ud800\0/*")
    await store.put(odd, SOUND)
    assert await store.named("alice", odd.name) == odd
    for bad in (hostile(template, nameless.id) for template in HOSTILE_IDS):
        with pytest.raises(ReferenceAudioNotFound) as refused:
            await store.named(None, bad)
        assert len(refused.value.message) < 1000
        assert refused.value.message.isprintable()


async def test_hostile_ids_are_not_found(store: ReferenceStore) -> None:
    known = make_reference()
    await store.put(known, SOUND)
    for bad in (hostile(template, known.id) for template in HOSTILE_IDS):
        for ask in (store.get, store.read, store.delete):
            with pytest.raises(ReferenceAudioNotFound) as refused:
                await ask(None, bad)
            assert len(refused.value.message) < 1000
            assert refused.value.message.isprintable()
        with pytest.raises(ReferenceAudioNotFound):
            await store.put(replace(known, id=bad), SOUND)
    assert await ids(store) == [known.id]


async def test_a_deleted_clip_is_gone(store: ReferenceStore) -> None:
    kept, deleted = make_reference(), make_reference()
    await store.put(kept, SOUND)
    await store.put(deleted, SOUND)
    await store.delete("alice", deleted.id)
    for ask in (store.get, store.read, store.delete):
        with pytest.raises(ReferenceAudioNotFound):
            await ask("alice", deleted.id)
    assert await ids(store) == [kept.id]


async def test_lists_are_by_creation_and_keep_the_order_of_one_second(
    store: ReferenceStore,
) -> None:
    late = [make_reference(created_at=2000) for _ in range(5)]
    early = [make_reference(created_at=1000) for _ in range(5)]
    for reference in (*late, *early):
        await store.put(reference, SOUND)
    expected = [reference.id for reference in (*early, *late)]
    for limit in (1, 2, 3, 4, 7, 10, 1000):
        assert await ids(store, "alice", limit=limit) == expected[:limit]
        assert await ids(store, "alice", limit=limit, order="desc") == expected[::-1][:limit]
        assert await ids(store, None, limit=limit, order="desc") == expected[::-1][:limit]


@pytest.mark.parametrize("seed", range(3))
async def test_any_history_gives_the_list_of_a_plain_model(
    store: ReferenceStore, seed: int
) -> None:
    draw = random.Random(seed)
    model: list[Reference] = []
    for _ in range(25):
        if model and draw.random() < 0.3:
            gone = model.pop(draw.randrange(len(model)))
            await store.delete(gone.owner, gone.id)
            continue
        reference = make_reference(
            owner=draw.choice(["alice", "bob"]),
            created_at=draw.choice([0, 9, 10, 2**31, 10**11]),
            name=draw.choice(["", "anna", "小美"]),
        )
        await store.put(reference, SOUND)
        model.append(reference)
    model.sort(key=lambda reference: reference.created_at)  # stable: puts keep their order
    for owner in ("alice", "bob", "nobody", None):
        seen = [r for r in model if owner in (r.owner, None)]
        limit = draw.randrange(1, 20)
        assert await store.list(owner, limit, "asc") == seen[:limit]
        assert await store.list(owner, limit, "desc") == seen[::-1][:limit]
        for name in ("anna", "小美", "nobody"):
            expected = [r for r in seen if r.name == name][-1:]
            if expected:
                assert await store.named(owner, name) == expected[0]
            else:
                with pytest.raises(ReferenceAudioNotFound):
                    await store.named(owner, name)


async def test_twenty_puts_at_once_are_all_there_in_order(store: ReferenceStore) -> None:
    references = [make_reference() for _ in range(20)]
    await asyncio.gather(*(store.put(reference, SOUND) for reference in references))
    assert await store.list("alice", 1000, "asc") == references


async def test_two_deletes_at_once_leave_nothing(store: ReferenceStore) -> None:
    reference = make_reference()
    await store.put(reference, SOUND)
    results = await asyncio.gather(
        store.delete("alice", reference.id),
        store.delete("alice", reference.id),
        return_exceptions=True,
    )
    assert None in results
    assert all(r is None or isinstance(r, ReferenceAudioNotFound) for r in results)
    assert await ids(store) == []


async def test_two_stores_in_one_place_see_each_others_clips(opener: Opener) -> None:
    one, other = await opener(), await opener()
    first, second = make_reference(name="anna"), make_reference()
    await one.put(first, SOUND)
    assert await ids(other) == [first.id]
    assert await other.named("alice", "anna") == first
    await other.put(second, SOUND)
    assert await ids(one) == [first.id, second.id]
    await other.delete("alice", first.id)
    assert await ids(one) == [second.id]
    with pytest.raises(ReferenceAudioNotFound):
        await one.read("alice", first.id)


async def test_clips_outlive_the_store(opener: Opener) -> None:
    reference = make_reference()
    before = await opener()
    await before.put(reference, SOUND)
    await before.stop()
    after = await opener()
    assert await after.get("alice", reference.id) == reference
    assert await after.read("alice", reference.id) == SOUND


async def test_a_cancelled_put_leaves_a_whole_clip_or_none(store: ReferenceStore) -> None:
    for turns in range(6):
        reference = make_reference()
        task = asyncio.create_task(store.put(reference, SOUND))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if reference.id in await ids(store):
            assert await store.read("alice", reference.id) == SOUND
