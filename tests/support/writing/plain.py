"""Making text plain in tests."""

from __future__ import annotations

from cosyserve.engine.plain import PlainText


def plain(text: str, *, markup: bool = True, cues: bool = False) -> str:
    stages = PlainText(markup=markup, cues=cues)
    return stages.feed(text) + stages.flush()


def in_pieces(text: str, size: int) -> str:
    """The same, with the text coming in pieces."""
    stages = PlainText()
    pieces = [stages.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(pieces) + stages.flush()
