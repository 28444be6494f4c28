"""A pronunciation dictionary and its versions, and the form in which it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import orjson

from cosyserve.protocol.elevenlabs.dictionaries import rule_object, stored_rule
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.phrases import Rule

MOST_VERSIONS: Final = 20
"""The newest ones are kept."""


class DamagedDictionary(Exception):
    """The stored bytes are no dictionary of this server."""


@dataclass(frozen=True, slots=True)
class Version:
    """Rules that never change. created_at: UNIX seconds."""

    id: str
    created_at: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A pronunciation dictionary.

    name, description: for people. created_by: the name of the token. created_at, archived_at: UNIX seconds;
    archived_at is None for one that is not archived. versions: the oldest first, at least one.
    """

    id: str
    name: str
    description: str
    created_by: str
    created_at: int
    archived_at: int | None
    versions: tuple[Version, ...]

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    def version(self, version_id: str | None) -> Version | None:
        """The version with this id, the latest one for None; None if there is no such version."""
        if version_id is None:
            return self.latest
        return next((each for each in self.versions if each.id == version_id), None)

    def with_version(self, version: Version) -> Self:
        """The dictionary after a change of its rules."""
        return replace(self, versions=(*self.versions, version)[-MOST_VERSIONS:])

    def encoded(self) -> bytes:
        """The stored form."""
        stored: JsonObject = {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "created_by": self.created_by,
            "created_at": self.created_at,
            "archived_at": self.archived_at,
            "versions": [
                {
                    "id": each.id,
                    "created_at": each.created_at,
                    "rules": [rule_object(rule) for rule in each.rules],
                }
                for each in self.versions
            ],
        }
        return orjson.dumps(stored)

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Raises DamagedDictionary."""
        try:
            stored = orjson.loads(data)
            versions = tuple(
                Version(each["id"], each["created_at"], tuple(map(stored_rule, each["rules"])))
                for each in stored.pop("versions")
            )
            found = cls(**stored, versions=versions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedDictionary(f"{type(error).__name__}: {error}") from None
        if not versions:
            raise DamagedDictionary("it has no versions")
        return found
