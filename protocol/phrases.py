"""Phrases that are spoken otherwise than they are written: what a client may say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .fields import JsonObject, optional, refusal, required

MOST: Final = 100
"""Pronunciations in one request."""
LONGEST_PHRASE: Final = 64
LONGEST_SPOKEN: Final = 256
"""Characters of what is spoken for a phrase, text or sounds."""
ALPHABETS: Final = ("ipa", "py", "cmu-arpabet")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A phrase in whose place a text is spoken.

    whole_words: whether the phrase is none where a letter or digit goes on before or after it; scripts
    without blanks between words know no such borders. match_case: whether capitals matter.
    """

    phrase: str
    spoken: str
    whole_words: bool = False
    match_case: bool = True


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A phrase that is spoken with these sounds.

    alphabet: one of ALPHABETS. where: the path of the sounds in the message, for errors. whole_words,
    match_case: as in Replacement.
    """

    phrase: str
    alphabet: str
    sounds: str
    where: str = field(default="", compare=False)
    whole_words: bool = True
    match_case: bool = True


Rule = Replacement | Pronunciation


@dataclass(frozen=True, slots=True)
class Locator:
    """A stored dictionary of rules, in one of its versions; None: the latest."""

    dictionary_id: str
    version_id: str | None = None


def read_pronunciations(given: object, where: str) -> tuple[Pronunciation, ...]:
    """The field `pronunciations` of a request. where: its path.

    Raises InvalidParameter, which names the first field that is wrong.
    """
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST:
        what = f"{len(given)} of them" if isinstance(given, list) else given
        allowed = f'a list of at most {MOST}, each {{"word", "alphabet", "sounds"}}'
        raise refusal(where, what, allowed)
    found = tuple(_pronunciation(each, f"{where}.{index}") for index, each in enumerate(given))
    seen: set[str] = set()
    for index, each in enumerate(found):
        if each.phrase in seen:
            raise refusal(f"{where}.{index}.word", each.phrase, "each word once")
        seen.add(each.phrase)
    return found


def pronunciation_object(rule: Pronunciation) -> JsonObject:
    """A pronunciation as `read_pronunciations` takes it."""
    told: JsonObject = {"word": rule.phrase, "alphabet": rule.alphabet, "sounds": rule.sounds}
    return told if rule.match_case else {**told, "case_sensitive": False}


def _pronunciation(given: object, where: str) -> Pronunciation:
    if not isinstance(given, dict):
        raise refusal(where, given, 'an object with "word", "alphabet" and "sounds"')
    word = phrase_of(given, "word", where)
    alphabet = required(given, "alphabet", str, where)
    if alphabet not in ALPHABETS:
        raise refusal(f"{where}.alphabet", alphabet, ", ".join(ALPHABETS))
    sounds = spoken_of(given, "sounds", where)
    match_case = optional(given, "case_sensitive", bool, where)
    return Pronunciation(
        word, alphabet, sounds, f"{where}.sounds", match_case=match_case is not False
    )


def phrase_of(given: JsonObject, name: str, where: str) -> str:
    """The phrase that a field holds. Raises InvalidParameter."""
    phrase = required(given, name, str, where)
    if not phrase.strip() or phrase != phrase.strip() or len(phrase) > LONGEST_PHRASE:
        allowed = f"1 to {LONGEST_PHRASE} characters, no blanks around them"
        raise refusal(f"{where}.{name}", phrase, allowed)
    return phrase


def spoken_of(given: JsonObject, name: str, where: str) -> str:
    """The text or the sounds that a field holds. Raises InvalidParameter."""
    spoken = required(given, name, str, where).strip()
    if not 1 <= len(spoken) <= LONGEST_SPOKEN:
        raise refusal(f"{where}.{name}", spoken, f"1 to {LONGEST_SPOKEN} characters")
    return spoken
