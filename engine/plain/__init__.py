"""Text as chat models and people write it, to text as it is read aloud.

    text -> CueFilter (voices without cues) -> Markup -> Characters -> plain text

Marks of Markdown and HTML go and the words stay; compatibility characters become what they stand for;
pictures go. Each stage is incremental, and what comes out depends on the text and on where it was
flushed alone.
"""

from __future__ import annotations

from .cues import CUES
from .text import PlainText

__all__ = ["CUES", "PlainText"]
