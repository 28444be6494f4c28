"""Reference clips for tests."""

from __future__ import annotations

import uuid
from dataclasses import replace

from cosyserve.server.voices import Reference

SOUND = bytes(range(256)) * 4


def make_reference(
    owner: str = "alice", created_at: int = 1_700_000_000, data: bytes = SOUND, **changes: str
) -> Reference:
    """A clip's metadata with a fresh id, fit for `data`."""
    reference = Reference(
        id=str(uuid.uuid4()),
        owner=owner,
        filename="voice.wav",
        bytes=len(data),
        created_at=created_at,
        text="A clip of a voice.",
        content_id="digest",
    )
    return replace(reference, **changes)  # type: ignore[arg-type]
