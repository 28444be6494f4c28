"""Joining surrogate pairs that were cut in two.

JSON can write a character beyond the basic plane as two escapes, and a client that cuts its text
between UTF-16 code units sends one half in one message and the other in the next.
"""

from __future__ import annotations


def join(half: str, text: str, *, last: bool = False) -> tuple[str, str]:
    """Well-formed text from the next piece, and the high surrogate that the piece ends with, or "".

    half: the one that the piece before ended with, or "". A high surrogate at the end is held back, since
    its other half may come. last: no more text comes, so nothing is held back.
    """
    text = half + text
    if not last and "\ud800" <= text[-1:] <= "\udbff":
        return well_formed(text[:-1]), text[-1]
    return well_formed(text), ""


def well_formed(text: str) -> str:
    """The text with halves that belong together joined; one that is alone becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
