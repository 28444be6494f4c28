"""The body of `POST /v1/audio/speech/batch`: several texts in one request, each with what differs for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import InvalidParameter, TextTooLong, TTSError
from ..fields import JsonObject, body_object, refusal, required
from ..openai import SPEECH_TOKENS
from ..parameters import SpeechParameters
from ..text import TextLimits
from .parameters import parse_config


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A text to be spoken. model: as it was asked for."""

    text: str
    model: str
    speech: SpeechParameters


_OF_THE_BATCH: Final = ("items", "input")


def parse_batch(body: bytes, most: int, limits: TextLimits) -> tuple[BatchItem | TTSError, ...]:
    """The items, in their order. most: how many may come; limits: of the texts of all of them.

    What is wrong with an item alone is returned in its place. Raises InvalidParameter, ModelNotFound and
    TextTooLong for what is wrong with the list or with what its items share.
    """
    request = body_object(body)
    given = request.get("items")
    if not isinstance(given, list):
        raise refusal("items", given, f"a list of 1 to {most} objects, each with input")
    if not 1 <= len(given) <= most:
        raise InvalidParameter(f"items: {len(given)} in one call; allowed: 1 to {most}")
    shared = {name: value for name, value in request.items() if name not in _OF_THE_BATCH}
    parse_config(shared)
    characters = sum(len(text) for item in given if isinstance(text := _input(item), str))
    if characters > limits.task:
        raise TextTooLong(f"items: {characters} characters in all; allowed: {limits.task}")
    return tuple(_item(each, shared) for each in given)


def _input(item: object) -> object:
    return item.get("input") if isinstance(item, dict) else None


def _item(item: object, shared: JsonObject) -> BatchItem | TTSError:
    try:
        if not isinstance(item, dict):
            raise refusal("item", item, "an object with input")
        text = required(item, "input", str)
        if not text.strip():
            raise refusal("input", text, "a text that is more than blanks")
        own = {name: value for name, value in item.items() if value is not None}
        config = parse_config({**shared, **own})
        return BatchItem(text, config.model, config.speech)
    except TTSError as error:
        return error


def success(index: int, sound: str, media_type: str, characters: int, seconds: float) -> JsonObject:
    """The result of an item. sound: in base64, or what stands for it; characters: as usage counts them."""
    spoken = round(SPEECH_TOKENS * seconds)
    return {
        "index": index,
        "status": "success",
        "audio_data": sound,
        "media_type": media_type,
        "usage": {
            "input_tokens": characters,
            "output_tokens": spoken,
            "total_tokens": characters + spoken,
            "input_token_details": {"text_tokens": characters, "audio_tokens": 0},
        },
    }


def failure(index: int, error: TTSError) -> JsonObject:
    """The result of an item that failed; code: the server's own."""
    return {"index": index, "status": "error", "error": error.message, "code": error.code}
