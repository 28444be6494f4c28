"""Plain text: what chat models and people write, as it is read aloud.

    text -> CueFilter (voices without cues) -> Markup -> Characters -> plain text

Marks of Markdown and HTML are removed and the words kept, compatibility characters become what they
stand for, and pictures are removed. Each stage is incremental; its output depends only on the text
and on where it was flushed.
"""

from __future__ import annotations

from .cues import CUES
from .text import PlainText

__all__ = ["CUES", "PlainText"]
