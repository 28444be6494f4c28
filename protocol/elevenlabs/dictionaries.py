"""Pronunciation dictionaries in ElevenLabs' HTTP API: what requests ask for, and what answers hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..fields import JsonObject, body_object, optional, refusal, required
from ..phrases import Locator, Pronunciation, Replacement, Rule, phrase_of, spoken_of

MOST_LOCATORS: Final = 3
LONGEST_NAME: Final = 100
LONGEST_DESCRIPTION: Final = 1000
PAGE_DEFAULT: Final = 30
PAGE_MAX: Final = 100
_ALPHABETS: Final = ("ipa", "cmu-arpabet")
_LOCATORS: Final = "pronunciation_dictionary_locators"


def locators_of(fields: JsonObject) -> tuple[Locator, ...]:
    """The dictionaries that a speech request, or a text's first message, names. Raises InvalidParameter."""
    given = fields.get(_LOCATORS)
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_LOCATORS:
        raise refusal(_LOCATORS, given, f"a list of at most {MOST_LOCATORS}")
    found = []
    for index, each in enumerate(given):
        where = f"{_LOCATORS}.{index}"
        if not isinstance(each, dict):
            raise refusal(where, each, "an object with pronunciation_dictionary_id")
        dictionary_id = required(each, "pronunciation_dictionary_id", str, where)
        found.append(Locator(dictionary_id, optional(each, "version_id", str, where)))
    return tuple(found)


# Rules


def read_rules(fields: JsonObject) -> tuple[Rule, ...]:
    """The field `rules` of a request. Raises InvalidParameter, which names the rule."""
    given = fields.get("rules")
    if not isinstance(given, list) or not given:
        raise refusal("rules", given, "a list of rules, one at least")
    return tuple(read_rule(each, f"rules.{index}") for index, each in enumerate(given))


def read_rule(given: object, where: str) -> Rule:
    """One rule. where: its path. Raises InvalidParameter."""
    if not isinstance(given, dict):
        raise refusal(where, given, "an object with type and string_to_replace")
    phrase = phrase_of(given, "string_to_replace", where)
    match_case = optional(given, "case_sensitive", bool, where) is not False
    whole_words = optional(given, "word_boundaries", bool, where) is not False
    match kind := required(given, "type", str, where):
        case "alias":
            return Replacement(phrase, spoken_of(given, "alias", where), whole_words, match_case)
        case "phoneme":
            sounds = spoken_of(given, "phoneme", where)
            alphabet = required(given, "alphabet", str, where)
            if alphabet not in _ALPHABETS:
                raise refusal(f"{where}.alphabet", alphabet, ", ".join(_ALPHABETS))
            path = f"{where}.phoneme"
            return Pronunciation(phrase, alphabet, sounds, path, whole_words, match_case)
    raise refusal(f"{where}.type", kind, "alias or phoneme")


def rule_object(rule: Rule) -> JsonObject:
    """A rule as answers show it, and as it is stored."""
    shown: JsonObject = {
        "string_to_replace": rule.phrase,
        "case_sensitive": rule.match_case,
        "word_boundaries": rule.whole_words,
    }
    if isinstance(rule, Replacement):
        return {"type": "alias", **shown, "alias": rule.spoken}
    return {"type": "phoneme", **shown, "phoneme": rule.sounds, "alphabet": rule.alphabet}


def stored_rule(stored: JsonObject) -> Rule:
    """The rule that `rule_object` shows. Raises KeyError."""
    flags = {"match_case": stored["case_sensitive"], "whole_words": stored["word_boundaries"]}
    if stored["type"] == "alias":
        return Replacement(stored["string_to_replace"], stored["alias"], **flags)
    phrase, sounds = stored["string_to_replace"], stored["phoneme"]
    return Pronunciation(phrase, stored["alphabet"], sounds, **flags)


# Requests


@dataclass(frozen=True, slots=True)
class NewDictionary:
    """A dictionary that is to be made. rules: none where a file has them."""

    name: str
    description: str
    rules: tuple[Rule, ...] = ()


def parse_new(body: bytes) -> NewDictionary:
    """Read the body of `add-from-rules`. Raises InvalidParameter."""
    fields = body_object(body)
    return NewDictionary(*check_names(fields), read_rules(fields))


def check_names(fields: JsonObject) -> tuple[str, str]:
    """The name and the description of a new dictionary. Raises InvalidParameter."""
    name = _name(required(fields, "name", str))
    description = optional(fields, "description", str) or ""
    if len(description) > LONGEST_DESCRIPTION:
        raise refusal("description", description, f"at most {LONGEST_DESCRIPTION} characters")
    return name, description


def _name(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise refusal("name", name, f"1 to {LONGEST_NAME} characters")
    return name


@dataclass(frozen=True, slots=True)
class Update:
    """What is to change; None stays."""

    name: str | None
    archived: bool | None


def parse_update(body: bytes) -> Update:
    """Read the body of a PATCH. Raises InvalidParameter."""
    fields = body_object(body)
    name = optional(fields, "name", str)
    return Update(None if name is None else _name(name), optional(fields, "archived", bool))


def parse_rules(body: bytes) -> tuple[Rule, ...]:
    """Read the body of `set-rules` or `add-rules`. Raises InvalidParameter."""
    return read_rules(body_object(body))


def parse_rule_strings(body: bytes) -> frozenset[str]:
    """Read the body of `remove-rules`: phrases. Raises InvalidParameter."""
    given = body_object(body).get("rule_strings")
    if not isinstance(given, list) or not given or not all(isinstance(each, str) for each in given):
        raise refusal("rule_strings", given, "a list of strings_to_replace, one at least")
    return frozenset(given)


Sort = Literal["creation_time_unix", "name"]


@dataclass(frozen=True, slots=True)
class DictionaryQuery:
    """The query of a list: one page in some order. after: the id of the last one on the page before."""

    page_size: int = PAGE_DEFAULT
    after: str = ""
    sort: Sort = "creation_time_unix"
    ascending: bool = False
    archived: bool = False


def parse_dictionary_query(query: Mapping[str, str]) -> DictionaryQuery:
    """Read the query of a list. Raises InvalidParameter."""
    size = query.get("page_size", str(PAGE_DEFAULT))
    # isdecimal and the length: int() also takes blanks, signs, underscores and megabytes of digits.
    is_number = size.isascii() and size.isdecimal() and len(size) <= 9
    if not is_number or not 1 <= int(size) <= PAGE_MAX:
        raise refusal("page_size", size, f"an integer from 1 to {PAGE_MAX}")
    sort = query.get("sort", "creation_time_unix")
    if sort not in ("creation_time_unix", "name"):
        raise refusal("sort", sort, "creation_time_unix or name")
    direction = query.get("sort_direction", "descending").lower()
    if direction not in ("ascending", "descending"):
        raise refusal("sort_direction", direction, "ascending or descending")
    return DictionaryQuery(
        int(size),
        query.get("cursor", ""),
        "name" if sort == "name" else "creation_time_unix",
        direction == "ascending",
        _flag(query, "include_archived"),
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise refusal(name, value, "true or false")
    return value == "true"


# Answers


@dataclass(frozen=True, slots=True)
class DictionaryFields:
    """What clients see of a dictionary. Times are UNIX seconds."""

    id: str
    name: str
    description: str
    created_by: str
    created_at: int
    archived_at: int | None
    version_id: str
    rules: Sequence[Rule]


def made_body(made: DictionaryFields) -> JsonObject:
    """The answer to `add-from-rules` and `add-from-file`."""
    return {
        "id": made.id,
        "name": made.name,
        "created_by": made.created_by,
        "creation_time_unix": made.created_at,
        "version_id": made.version_id,
        "version_rules_num": len(made.rules),
        "description": made.description or None,
        "permission_on_resource": "admin",
    }


def metadata_body(found: DictionaryFields) -> JsonObject:
    """A dictionary in a list, and after a PATCH."""
    return {
        "id": found.id,
        "latest_version_id": found.version_id,
        "latest_version_rules_num": len(found.rules),
        "name": found.name,
        "permission_on_resource": "admin",
        "created_by": found.created_by,
        "creation_time_unix": found.created_at,
        "archived_time_unix": found.archived_at,
        "description": found.description or None,
    }


def whole_body(found: DictionaryFields) -> JsonObject:
    """A dictionary with its rules."""
    return {**metadata_body(found), "rules": [rule_object(rule) for rule in found.rules]}


def changed_body(changed: DictionaryFields) -> JsonObject:
    """The answer to a change of rules."""
    return {
        "id": changed.id,
        "version_id": changed.version_id,
        "version_rules_num": len(changed.rules),
    }


def page_body(found: Sequence[DictionaryFields], query: DictionaryQuery) -> JsonObject:
    """The answer to a list: of these dictionaries, those of one page."""
    wanted = [each for each in found if query.archived or each.archived_at is None]
    if query.sort == "name":
        wanted.sort(key=lambda each: (each.name, each.id), reverse=not query.ascending)
    else:
        wanted.sort(key=lambda each: (each.created_at, each.id), reverse=not query.ascending)
    ids = [each.id for each in wanted]
    if query.after and query.after not in ids:
        raise refusal("cursor", query.after, "the next_cursor of the page before")
    begin = ids.index(query.after) + 1 if query.after else 0
    page = wanted[begin : begin + query.page_size]
    more = begin + query.page_size < len(wanted)
    return {
        "pronunciation_dictionaries": [metadata_body(each) for each in page],
        "next_cursor": page[-1].id if more else None,
        "has_more": more,
    }
