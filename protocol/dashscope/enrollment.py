"""Bodies of `/api/v1/services/audio/tts/customization`: voices that are made from clips, and their list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pybase64

from ..errors import InvalidParameter, ModelNotFound, PayloadTooLarge
from ..fields import JsonObject, body_object, optional, refusal, required, shown
from .parameters import MODEL

ENROLLMENT_MODEL: Final = "voice-enrollment"
LONGEST_MODEL: Final = 20
"""Characters of a target model: with them an id is still as short as a reference's name has to be."""
LARGEST_PAGE: Final = 1000
LONGEST_TRANSCRIPT: Final = 8192

_PREFIX: Final = re.compile(r"[A-Za-z0-9]{1,10}")
_VOICE_ID: Final = re.compile(r"(?P<model>cosyvoice.*)-(?P<prefix>[A-Za-z0-9]{1,10})-[0-9a-f]{32}")
_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CreateVoice:
    """url: of the clip. text: its transcript, "" if the client does not say it."""

    target_model: str
    prefix: str
    url: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class UpdateVoice:
    """Speak with another clip; as CreateVoice."""

    voice_id: str
    url: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListVoices:
    """A page of the voices, the newest first; prefix: of those only."""

    prefix: str | None
    page_index: int
    page_size: int


@dataclass(frozen=True, slots=True)
class QueryVoice:
    voice_id: str


@dataclass(frozen=True, slots=True)
class DeleteVoice:
    voice_id: str


EnrollmentCall = CreateVoice | UpdateVoice | ListVoices | QueryVoice | DeleteVoice
_ACTIONS: Final = "create_voice, update_voice, list_voice, query_voice, delete_voice"


@dataclass(frozen=True, slots=True)
class EnrolledVoice:
    """A voice as clients see it. made: when its clip was stored, "YYYY-MM-DD HH:MM:SS" in UTC."""

    id: str
    made: str


def parse_enrollment_call(body: bytes) -> EnrollmentCall:
    """Read the body of a call. Raises InvalidParameter, ModelNotFound."""
    request = body_object(body)
    model = required(request, "model", str)
    if model != ENROLLMENT_MODEL:
        raise ModelNotFound(f"model: no model {shown(model)} here; allowed: {ENROLLMENT_MODEL}")
    given = required(request, "input", dict)
    match action := required(given, "action", str, "input"):
        case "create_voice":
            return CreateVoice(_target_model(given), _prefix(given), _url(given), _text(given))
        case "update_voice":
            return UpdateVoice(_voice_id(given), _url(given), _text(given))
        case "list_voice":
            prefix = _prefix(given) if given.get("prefix") else None
            index = _whole(given, "page_index", 0, 0, 10**6)
            return ListVoices(prefix, index, _whole(given, "page_size", 10, 1, LARGEST_PAGE))
        case "query_voice":
            return QueryVoice(_voice_id(given))
        case "delete_voice":
            return DeleteVoice(_voice_id(given))
        case _:
            raise refusal("input.action", action, _ACTIONS)


def clip_in(url: str, most: int) -> bytes | None:
    """The file that a data: URL holds, of `most` bytes at most; None for a URL of another kind.

    Raises InvalidParameter, PayloadTooLarge.
    """
    if url[:5].lower() != "data:":
        return None
    head = _DATA.match(url)
    if head is None:
        raise InvalidParameter("input.url: not a data: URL in base64 (data:audio/wav;base64,...)")
    encoded = url[head.end() :]
    if len(encoded) // 4 * 3 > most + 3:
        raise PayloadTooLarge(f"input.url: more than {most} bytes, the most allowed")
    try:
        return pybase64.b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidParameter("input.url: what follows data: is no base64") from None


def voice_id(target_model: str, prefix: str, unique: str) -> str:
    """A new voice's id. unique: 32 hexadecimal digits."""
    return f"{target_model}-{prefix}-{unique}"


def is_voice_id(name: str, prefix: str | None = None) -> bool:
    """Whether this is a voice's id, with that prefix (None: any)."""
    found = _VOICE_ID.fullmatch(name)
    return found is not None and prefix in (None, found["prefix"])


def created_body(request_id: str, voice_id: str) -> JsonObject:
    return _body(request_id, {"voice_id": voice_id})


def changed_body(request_id: str) -> JsonObject:
    """The answer to an update or a deletion."""
    return _body(request_id, {})


def listed_body(request_id: str, voices: Sequence[EnrolledVoice]) -> JsonObject:
    found = [{"voice_id": voice.id, **_times(voice), "status": "OK"} for voice in voices]
    return _body(request_id, {"voice_list": found})


def queried_body(request_id: str, voice: EnrolledVoice) -> JsonObject:
    """The clip itself has no address here."""
    found = _VOICE_ID.fullmatch(voice.id)
    model = "" if found is None else found["model"]
    output = {**_times(voice), "resource_link": "", "target_model": model, "status": "OK"}
    return _body(request_id, output)


def _body(request_id: str, output: JsonObject) -> JsonObject:
    return {"output": output, "usage": {"count": 1}, "request_id": request_id}


def _times(voice: EnrolledVoice) -> JsonObject:
    """An update makes a voice anew."""
    return {"gmt_create": voice.made, "gmt_modified": voice.made}


def _target_model(given: JsonObject) -> str:
    model = required(given, "target_model", str, "input")
    if MODEL.fullmatch(model) is None or len(model) > LONGEST_MODEL or not model.islower():
        raise refusal("input.target_model", model, "cosyvoice-v2, cosyvoice-v3-plus and their kin")
    return model


def _prefix(given: JsonObject) -> str:
    prefix = required(given, "prefix", str, "input")
    if _PREFIX.fullmatch(prefix) is None:
        raise refusal("input.prefix", prefix, "1 to 10 of A-Z a-z 0-9")
    return prefix


def _voice_id(given: JsonObject) -> str:
    return required(given, "voice_id", str, "input")


def _url(given: JsonObject) -> str:
    return required(given, "url", str, "input")


def _text(given: JsonObject) -> str:
    text = (optional(given, "text", str, "input") or "").strip()
    if len(text) > LONGEST_TRANSCRIPT:
        raise refusal("input.text", text, f"at most {LONGEST_TRANSCRIPT} characters")
    return text


def _whole(given: JsonObject, name: str, default: int, least: int, most: int) -> int:
    found = optional(given, name, int, "input")
    number = default if found is None else found
    if not least <= number <= most:
        raise refusal(f"input.{name}", number, f"{least} to {most}")
    return number
