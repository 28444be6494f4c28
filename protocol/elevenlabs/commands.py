"""What a client of this dialect's WebSockets sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..fields import JsonObject, optional, refusal
from .parameters import refuse_dictionaries, speed_of

LONGEST_CONTEXT_ID: Final = 256


@dataclass(frozen=True, slots=True)
class Message:
    """One message. text: None if it has none, which "" is not.

    opens: it is written like the first one of a context, with a blank text or with settings.
    """

    text: str | None
    speed: float = 1.0
    flush: bool = False
    opens: bool = False
    close_context: bool = False
    close_socket: bool = False


def read_message(fields: JsonObject) -> Message:
    """Raises InvalidParameter, which names the field."""
    text = optional(fields, "text", str)
    refuse_dictionaries(fields)
    configures = any(
        fields.get(name) is not None for name in ("voice_settings", "generation_config")
    )
    return Message(
        text,
        speed_of(fields),
        flush=_is_set(fields, "flush"),
        opens=configures or bool(text and text.isspace()),
        close_context=_is_set(fields, "close_context"),
        close_socket=_is_set(fields, "close_socket"),
    )


def context_id_of(fields: JsonObject) -> str | None:
    """The context a message is for; None: the one without an id. Raises InvalidParameter."""
    context_id = optional(fields, "context_id", str) or optional(fields, "contextId", str) or None
    if context_id is not None and len(context_id) > LONGEST_CONTEXT_ID:
        allowed = f"at most {LONGEST_CONTEXT_ID} characters"
        raise refusal("context_id", context_id, allowed)
    return context_id


def _is_set(fields: JsonObject, name: str) -> bool:
    return optional(fields, name, bool) or False
