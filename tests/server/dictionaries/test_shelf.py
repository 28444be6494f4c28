"""The dictionaries of a server, without HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import InternalError, InvalidParameter, RouteNotFound
from cosyserve.protocol.phrases import Locator, Pronunciation, Replacement, Rule
from cosyserve.server.dictionaries.dictionary import (
    MOST_VERSIONS,
    DamagedDictionary,
    Dictionary,
    Version,
)
from cosyserve.server.dictionaries.shelf import DictionaryShelf
from cosyserve.server.voices import LocalStore
from support.engines.fake_engine import FakeEngine
from support.engines.phonetic_engine import PhoneticFakeEngine

RULES: tuple[Rule, ...] = (
    Replacement("UN", "United Nations", whole_words=True),
    Pronunciation("Nguyen", "ipa", "wɪn", "rules.1.phoneme", match_case=False),
)


@dataclass(frozen=True)
class Limits:
    max_dictionaries_per_token: int = 2
    max_dictionary_rules: int = 3


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def shelf(store: LocalStore) -> DictionaryShelf:
    return shelf_of(store, PhoneticFakeEngine())


def shelf_of(store: LocalStore, engine: FakeEngine) -> DictionaryShelf:
    threads = Threads("dictionary", 1)
    return DictionaryShelf(store.documents("dictionaries"), engine, Limits(), threads)


async def test_a_dictionary_has_an_owner(shelf: DictionaryShelf) -> None:
    made = await shelf.create("ann", "Ann", "Names", "of people", RULES)
    assert (made.name, made.description, made.created_by) == ("Names", "of people", "Ann")
    assert await shelf.get("ann", made.id) == made
    assert await shelf.all("ann") == [made]
    assert await shelf.all("bob") == []
    for dictionary_id in (made.id, str(uuid.uuid4()), "..", ""):
        with pytest.raises(RouteNotFound, match="no pronunciation dictionary has the id"):
            await shelf.get("bob", dictionary_id)


async def test_changes_make_versions(shelf: DictionaryShelf) -> None:
    made = await shelf.create("ann", "Ann", "Names", "", RULES)
    changed = await shelf.change_rules("ann", made.id, lambda rules: rules[:1])
    assert changed.latest.rules == RULES[:1]
    assert await shelf.rules("ann", [Locator(made.id)]) == RULES[:1]
    assert await shelf.rules("ann", [Locator(made.id, made.latest.id)]) == RULES
    both = [Locator(made.id), Locator(made.id, made.latest.id)]
    assert await shelf.rules("ann", both) == RULES[:1] + RULES
    for _ in range(MOST_VERSIONS):
        await shelf.change_rules("ann", made.id, lambda rules: rules)
    assert len((await shelf.get("ann", made.id)).versions) == MOST_VERSIONS
    with pytest.raises(InvalidParameter, match=r"locators\.0\.version_id: 'Names' has no version"):
        await shelf.rules("ann", [Locator(made.id, made.latest.id)])


async def test_changes_at_once_lose_nothing(shelf: DictionaryShelf) -> None:
    made = await shelf.create("ann", "Ann", "Names", "", ())
    added = [Replacement(word, "x") for word in "abc"]
    await asyncio.gather(
        *(shelf.change_rules("ann", made.id, lambda rules, e=each: (*rules, e)) for each in added)
    )
    assert set((await shelf.get("ann", made.id)).latest.rules) == set(added)


async def test_a_dictionary_that_is_not_here_is_named(shelf: DictionaryShelf) -> None:
    made = await shelf.create("ann", "Ann", "Names", "", RULES)
    for owner, wanted in (("bob", made.id), ("ann", "nothing")):
        with pytest.raises(
            InvalidParameter, match=r"locators\.0\.pronunciation_dictionary_id: no d"
        ):
            await shelf.rules(owner, [Locator(wanted)])


async def test_quotas(shelf: DictionaryShelf) -> None:
    with pytest.raises(InvalidParameter, match="rules: 4 in one dictionary; allowed: up to 3"):
        await shelf.create("ann", "Ann", "Names", "", [Replacement(c, "x") for c in "abcd"])
    first, second = [await shelf.create("ann", "Ann", name, "", RULES) for name in "ab"]
    with pytest.raises(InvalidParameter, match=r"2 pronunciation dictionaries .* archive one"):
        await shelf.create("ann", "Ann", "c", "", RULES)
    await shelf.create("bob", "Bob", "c", "", RULES)
    with pytest.raises(InvalidParameter, match="allowed: up to 3"):
        await shelf.change_rules("ann", first.id, lambda rules: rules * 2)
    await shelf.update("ann", first.id, None, archived=True)
    third = await shelf.create("ann", "Ann", "c", "", RULES)
    with pytest.raises(InvalidParameter, match="2 pronunciation dictionaries"):
        await shelf.update("ann", first.id, None, archived=False)
    assert await shelf.rules("ann", [Locator(first.id)]) == RULES  # an archived one is still heard
    for each in (second, third):
        await shelf.update("ann", each.id, None, archived=True)
    await shelf.create("ann", "Ann", "d", "", RULES)
    kept = {each.id for each in await shelf.all("ann")}
    assert len(kept) == 3  # no more than as many are archived as may be stored


async def test_updates(shelf: DictionaryShelf) -> None:
    made = await shelf.create("ann", "Ann", "Names", "", RULES)
    renamed = await shelf.update("ann", made.id, "Towns", None)
    assert (renamed.name, renamed.archived_at, renamed.latest) == ("Towns", None, made.latest)
    archived = await shelf.update("ann", made.id, None, archived=True)
    assert archived.archived_at is not None
    assert await shelf.update("ann", made.id, None, archived=True) == archived
    assert (await shelf.update("ann", made.id, None, archived=False)).archived_at is None


async def test_sounds_that_the_engine_lacks_are_refused(
    shelf: DictionaryShelf, store: LocalStore
) -> None:
    rules = [Pronunciation("a", "ipa", "ʁ", "rules.0.phoneme")]
    with pytest.raises(InvalidParameter, match=r"rules\.0\.phoneme: 'ʁ': no sound 'ʁ'; allowed"):
        await shelf.create("ann", "Ann", "Names", "", rules)
    deaf = shelf_of(store, FakeEngine())
    with pytest.raises(InvalidParameter, match=r"rules\.1\.phoneme: .* takes no phonemes"):
        await deaf.create("ann", "Ann", "Names", "", RULES)
    await deaf.create("ann", "Ann", "Names", "", RULES[:1])


async def test_damage_is_told_and_the_others_are_served(
    shelf: DictionaryShelf, store: LocalStore
) -> None:
    made = await shelf.create("ann", "Ann", "Names", "", RULES)
    damaged = str(uuid.uuid4())
    await store.documents("dictionaries").put("ann", damaged, b"{}")
    assert await shelf.all("ann") == [made]
    with pytest.raises(InternalError, match="damaged"):
        await shelf.get("ann", damaged)


def test_the_stored_form_is_read_back() -> None:
    version = Version("v", 5, RULES)
    kept = Dictionary("d", "Names", "of", "ann", 4, 6, (version, Version("w", 6, ())))
    assert Dictionary.decoded(kept.encoded()) == kept


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"versions": []}', b'{"versions": [{"id": 1}]}', b"1"]
)
def test_what_is_no_dictionary_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedDictionary):
        Dictionary.decoded(data)
