"""HTML that no text can break: text is escaped, and markup is a type of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt

Child = str | None

_VOID: Final = frozenset({"meta", "link", "br"})
_KEY: Final = re.compile(r'^(\s*)("(?:[^"\\]|\\.)*")(: )', re.MULTILINE)
_DEFINED: Final = re.compile(r"^([A-Za-z][\w-]*): ", re.MULTILINE)


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | None) -> Html:
    """An element. Attributes: `class_` stands for class, `tabindex` and others for themselves."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child | Iterable[Child]) -> Html:
    """Children one after another; text among them is escaped."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child, quote=False))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def prose(text: object) -> Html:
    """CommonMark, as both contract formats have it in descriptions; markup in it is shown as text.

    Lines that all begin with a name and a colon become a list.
    """
    written = str(text or "").strip()
    if written.count("\n") and all(map(_DEFINED.match, written.splitlines())):
        written = _DEFINED.sub(r"- `\1`: ", written)
    return Html(_markdown().render(written).strip())


def line(text: object) -> Html:
    """CommonMark of one line, without a paragraph around it."""
    return Html(_markdown().renderInline(" ".join(str(text or "").split())))


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def code(text: object) -> Html:
    """A literal value or a name."""
    return tag("code", str(text))


def literal(value: object) -> Html:
    """A value of JSON, as code."""
    return code(json.dumps(value, ensure_ascii=False))


def sample(value: Any) -> Html:
    """A block with an example: a string as it is, any other value as JSON."""
    if isinstance(value, str):
        return tag("pre", tag("code", value.rstrip()), tabindex="0")
    # Quotes need no escape in text, and mark the keys for the expression.
    text = escape(json.dumps(value, indent=2, ensure_ascii=False), quote=False)
    coloured = _KEY.sub(r"\1<b>\2</b>\3", text)
    return tag("pre", tag("code", Html(coloured)), tabindex="0")


def slug(*parts: str) -> str:
    """An anchor made of names: letters, digits, dots, underscores and dashes."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-") for part in parts if part)
