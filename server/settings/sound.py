"""What the files say of their own sound."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SoundSettings(BaseModel):
    """Sound"""

    mark_synthetic: bool = Field(
        False,
        description="write into the metadata of all sound that a machine made it, and which: WAV "
        "(LIST/INFO), MP3 and AAC (ID3v2), FLAC and Opus (Vorbis comments); bare PCM, ulaw and alaw have no "
        "place for it. Clients of the native API may ask for it with the parameter of this name",
    )
