"""HTML in a text: tags, comments, addresses in angle brackets, entities.

Text is a tag only if HTML has its name and its attributes have values; so `List<T>`,
`a <b and c> d` and `x < y` stay.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

from ..segmentation.characters import NEWLINES
from ..segmentation.lookahead import NeedMoreText
from .rewriting import Construct

_LONGEST_TAG: Final = 1000
_LONGEST_COMMENT: Final = 1000
_INLINE: Final = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q rp rt ruby"
    " s samp small span strike strong sub sup time tt u var wbr img picture source svg path"
)
_BLOCKS: Final = (
    "address article aside blockquote body button canvas caption center col colgroup dd details"
    " dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html"
    " iframe input legend li link main meta nav ol optgroup option p pre script section select style"
    " summary table tbody textarea tfoot thead title tr ul video audio"
)
BLOCKS: Final = frozenset(_BLOCKS.split())
"""Tags that end a sentence."""
CELLS: Final = frozenset({"td", "th"})
_NAMES: Final = "|".join(
    sorted({*_INLINE.split(), *BLOCKS, *CELLS, "br"}, key=lambda name: (-len(name), name))
)
_KEY: Final = r"[A-Za-z_:@][\w:.@-]*+"
_FLAGS: Final = "checked|controls|disabled|hidden|open|reversed|selected|async|defer|loop|muted"
_ATTRIBUTES: Final = (
    rf"(?:\s++(?:{_KEY}\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+'|[^\s\"'<>=`]++)"
    rf"|(?:{_FLAGS})(?![\w:.@=-])))*+"
)
_ATTRIBUTE_START: Final = (
    rf"\s++(?:{_KEY}(?:\s*+(?:=\s*+(?:\"[^\"<]*+|'[^'<]*+|[^\s\"'<>=`]*+)?)?)?)?"
)
_TAG: Final = Construct(
    re.compile(rf"<(/?)({_NAMES})({_ATTRIBUTES})\s*+/?>", re.IGNORECASE),
    re.compile(
        rf"<(?:/?[a-z0-9]{{0,10}}+|/?(?:{_NAMES}){_ATTRIBUTES}(?:\s*+/?|{_ATTRIBUTE_START}))",
        re.IGNORECASE,
    ),
    _LONGEST_TAG,
)
_ALT: Final = re.compile(r"\salt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_RAISED: Final = Construct(
    re.compile(r"<sup>([0-9]{1,3}+|n)</sup>"),
    re.compile(r"<(?:s(?:u(?:p(?:>(?:(?:[0-9]{1,3}+|n)(?:<(?:/(?:s(?:up?)?)?)?)?)?)?)?)?)?"),
    16,
)
_SUPERSCRIPTS: Final = str.maketrans("0123456789n", "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ")
_DECLARATION: Final = Construct(
    re.compile(r"<[!?][A-Za-z][^<>]{0,200}+>"),
    re.compile(r"<(?:[!?](?:[A-Za-z][^<>]{0,200}+)?)?"),
    208,
)
_AUTOLINK: Final = Construct(
    re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}+:[^\s<>]{0,1000}+|[\w.+-]{1,64}+@[\w.-]{1,250}+)>"),
    re.compile(
        r"<(?:[A-Za-z][A-Za-z0-9+.-]{0,31}+(?::[^\s<>]{0,1000}+)?|[\w.+-]{1,64}+(?:@[\w.-]{0,250}+)?)?"
    ),
    1100,
)
_COMMENT: Final = "<!--"
_ENTITY: Final = Construct(
    re.compile(r"&(?:#(?:[0-9]{1,7}+|[xX][0-9A-Fa-f]{1,6}+)|[A-Za-z][A-Za-z0-9]{0,30}+);"),
    re.compile(r"&(?:#(?:[0-9]{0,7}+|[xX][0-9A-Fa-f]{0,6}+)|[A-Za-z][A-Za-z0-9]{0,30}+)?"),
    40,
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of `length` characters.

    name: in small letters, "" for a comment or the like, which is dropped. text: read in its place.
    inner: the length of an address in angle brackets, which is kept; 0 for a tag.
    """

    length: int
    name: str = ""
    closing: bool = False
    text: str = ""
    inner: int = 0


def find_tag(text: str, at: int, final: bool) -> Tag | None:
    """Find the tag at `<`, None if it is text. Raises NeedMoreText."""
    raised = _RAISED.match(text, at, final)
    if raised is not None:
        return Tag(raised.end() - at, "sup", text=raised[1].translate(_SUPERSCRIPTS))
    tag = _TAG.match(text, at, final)
    if tag is not None:
        name = tag[2].lower()
        shown = _ALT.search(tag[3]) if name == "img" else None
        alt = html.unescape(shown[1] or shown[2] or "") if shown else ""
        return Tag(tag.end() - at, name, bool(tag[1]), " ".join(alt.split()))
    link = _AUTOLINK.match(text, at, final)
    if link is not None:
        return Tag(link.end() - at, inner=len(link[1]))
    length = _comment_length(text, at, final)
    if length:
        return Tag(length)
    declaration = _DECLARATION.match(text, at, final)
    return None if declaration is None else Tag(declaration.end() - at)


def find_entity(text: str, at: int, final: bool) -> tuple[int, str] | None:
    """The length of the entity at `&` and what it stands for, None if `&` is text. Raises NeedMoreText."""
    found = _ENTITY.match(text, at, final)
    if found is None:
        return None
    meant = html.unescape(found[0])
    if meant == found[0]:
        return None
    return len(found[0]), " " if meant in NEWLINES else meant


def _comment_length(text: str, at: int, final: bool) -> int:
    start = text[at : at + len(_COMMENT)]
    if start != _COMMENT:
        if not final and _COMMENT.startswith(start):
            raise NeedMoreText
        return 0
    end = text.find("-->", at + len(_COMMENT), at + _LONGEST_COMMENT)
    if end >= 0:
        return end + 3 - at
    if not final and len(text) < at + _LONGEST_COMMENT:
        raise NeedMoreText
    return 0
