"""The dictionaries of a server: made, changed, found, and turned into the rules of a task."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol
from weakref import WeakValueDictionary

import structlog

from cosyserve.engine.interface import Engine
from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import InternalError, InvalidParameter, RouteNotFound
from cosyserve.protocol.fields import shown
from cosyserve.protocol.phrases import Locator, Pronunciation, Rule

from ..tasks.reworded import spoken_rules
from ..voices.documents import Documents
from .dictionary import DamagedDictionary, Dictionary, Version

log = structlog.get_logger(__name__)

_READ_AT_ONCE: Final = 4
_WHERE: Final = "pronunciation_dictionary_locators"


class DictionarySettings(Protocol):
    @property
    def max_dictionaries_per_token(self) -> int: ...
    @property
    def max_dictionary_rules(self) -> int: ...


class DictionaryShelf:
    """The dictionaries of all owners. Another owner's are as if they did not exist.

    A change reads, changes and writes a dictionary in turn with others on this server; several servers on
    one store do not wait for each other, and the last one to write stays.
    """

    def __init__(
        self, documents: Documents, engine: Engine, settings: DictionarySettings, threads: Threads
    ) -> None:
        """threads: read stored dictionaries, of which a large one takes some milliseconds."""
        self._documents = documents
        self._engine = engine
        self._settings = settings
        self._threads = threads
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def create(
        self, owner: str, created_by: str, name: str, description: str, rules: Sequence[Rule]
    ) -> Dictionary:
        """Raises InvalidParameter, also where the owner has as many as are allowed."""
        self._check(rules)
        now = int(time.time())
        version = Version(str(uuid.uuid4()), now, tuple(rules))
        made = Dictionary(str(uuid.uuid4()), name, description, created_by, now, None, (version,))
        async with self._turn(owner, ""):
            await self._make_room(owner)
            await self._documents.put(owner, made.id, made.encoded())
        log.info("dictionary_stored", dictionary_id=made.id, caller=created_by, rules=len(rules))
        return made

    async def get(self, owner: str, dictionary_id: str) -> Dictionary:
        """Raises RouteNotFound if the owner has no such dictionary."""
        found = await self._read(owner, dictionary_id)
        if found is None:
            raise RouteNotFound(f"no pronunciation dictionary has the id {shown(dictionary_id)}")
        return found

    async def all(self, owner: str) -> list[Dictionary]:
        """The owner's dictionaries, in no order. Those that are damaged are left out, and logged."""
        slots = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(dictionary_id: str) -> Dictionary | None:
            async with slots:
                try:
                    return await self._read(owner, dictionary_id)
                except InternalError:
                    return None

        found = await asyncio.gather(*map(read, await self._documents.ids(owner)))
        return [each for each in found if each is not None]

    async def change_rules(
        self,
        owner: str,
        dictionary_id: str,
        change: Callable[[tuple[Rule, ...]], tuple[Rule, ...]],
    ) -> Dictionary:
        """Give it a new version. change: from the rules of the latest one to those of the new one.

        Raises RouteNotFound, InvalidParameter.
        """
        async with self._turn(owner, dictionary_id):
            found = await self.get(owner, dictionary_id)
            rules = change(found.latest.rules)
            self._check(rules)
            version = Version(str(uuid.uuid4()), int(time.time()), rules)
            changed = found.with_version(version)
            await self._documents.put(owner, changed.id, changed.encoded())
        return changed

    async def update(
        self, owner: str, dictionary_id: str, name: str | None, archived: bool | None
    ) -> Dictionary:
        """Rename, archive or restore it; None leaves what is. Raises RouteNotFound, InvalidParameter."""
        async with self._turn(owner, ""), self._turn(owner, dictionary_id):
            found = await self.get(owner, dictionary_id)
            if archived is False and found.archived_at is not None:
                await self._make_room(owner)
            if archived is not None:
                since = found.archived_at or int(time.time())
                found = replace(found, archived_at=since if archived else None)
            found = replace(found, name=name if name is not None else found.name)
            await self._documents.put(owner, found.id, found.encoded())
        return found

    async def rules(self, owner: str, locators: Sequence[Locator]) -> tuple[Rule, ...]:
        """The rules of these dictionaries, in their order. Raises InvalidParameter if one is missing."""
        rules: list[Rule] = []
        for index, locator in enumerate(locators):
            found = await self._read(owner, locator.dictionary_id)
            where = f"{_WHERE}.{index}"
            if found is None:
                raise InvalidParameter(
                    f"{where}.pronunciation_dictionary_id: no dictionary has the id"
                    f" {shown(locator.dictionary_id)}; allowed: one of this token's"
                )
            version = found.version(locator.version_id)
            if version is None:
                raise InvalidParameter(
                    f"{where}.version_id: {shown(found.name)} has no version {shown(locator.version_id)};"
                    " allowed: one of its latest versions, or none for the latest"
                )
            rules += [_told_from(rule, where) for rule in version.rules]
        return tuple(rules)

    def _check(self, rules: Sequence[Rule]) -> None:
        most = self._settings.max_dictionary_rules
        if len(rules) > most:
            raise InvalidParameter(f"rules: {len(rules)} in one dictionary; allowed: up to {most}")
        spoken_rules(self._engine, rules)

    async def _make_room(self, owner: str) -> None:
        """Raises InvalidParameter if there is none. Archived ones are deleted when there are as many."""
        most = self._settings.max_dictionaries_per_token
        kept = await self.all(owner)
        if sum(each.archived_at is None for each in kept) >= most:
            raise InvalidParameter(
                f"there are {most} pronunciation dictionaries already, as many as one token may have;"
                " allowed: to archive one first"
            )
        archived = sorted(
            (each for each in kept if each.archived_at is not None),
            key=lambda each: (each.archived_at or 0, each.id),
        )
        for each in archived[: max(0, len(archived) - most)]:
            await self._documents.delete(owner, each.id)
            log.info("dictionary_deleted", dictionary_id=each.id)

    async def _read(self, owner: str, dictionary_id: str) -> Dictionary | None:
        data = await self._documents.get(owner, dictionary_id)
        if data is None:
            return None
        try:
            return await self._threads.run(Dictionary.decoded, data)
        except DamagedDictionary as damage:
            log.error("dictionary_damaged", dictionary_id=dictionary_id, reason=str(damage))
            raise InternalError("the stored pronunciation dictionary is damaged") from None

    def _turn(self, owner: str, dictionary_id: str) -> asyncio.Lock:
        """One change at a time of one dictionary, "" for the owner's number of them."""
        return self._turns.setdefault((owner, dictionary_id), asyncio.Lock())


def _told_from(rule: Rule, where: str) -> Rule:
    """The rule, whose faults are told at this place."""
    return replace(rule, where=where) if isinstance(rule, Pronunciation) else rule
