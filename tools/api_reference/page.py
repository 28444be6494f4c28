"""The whole page: head, contents, both contracts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cosyserve.protocol

from .contract import Contract
from .markup import Html, code, join, line, prose, slug, tag
from .rest import error_bodies, operations, tag_sections
from .sockets import channel_sections, message_anchor, messages

_ICON: Final = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>"
    "<path d='M2 6v4M5 3v10M8 5v6M11 1v14M14 6v4' stroke='%23197' stroke-width='1.6' "
    "stroke-linecap='round'/></svg>"
)


def render() -> str:
    """The reference as HTML, made from the current contracts. Raises OSError."""
    contracts = Path(cosyserve.protocol.__path__[0])
    return page(
        Contract.read(contracts / "asyncapi.yaml"), Contract.read(contracts / "openapi.yaml")
    )


def page(sockets: Contract, rest: Contract) -> str:
    """One self-contained page of an AsyncAPI and an OpenAPI document, without scripts."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "cosyserve API"),
        tag("link", rel="icon", href=_ICON),
        tag("style", Html(_squeezed(style))),
    )
    body = tag(
        "body",
        tag("a", "Skip to the text", href="#main", class_="skip"),
        _contents(sockets, rest),
        tag("main", _main(sockets, rest), id="main"),
        tag("a", "Contents", href="#contents", class_="back"),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _main(sockets: Contract, rest: Contract) -> Iterator[Html]:
    yield tag(
        "header",
        tag("h1", "cosyserve API"),
        tag(
            "p",
            "Streaming speech over WebSocket, and speech, references and operation over REST, on one "
            "port. This page is made of ",
            tag("a", "asyncapi.yaml", href="/docs/asyncapi.yaml"),
            f" {sockets.root['info']['version']} and ",
            tag("a", "openapi.yaml", href="/docs/openapi.yaml"),
            f" {rest.root['info']['version']}.",
        ),
    )
    yield _access(sockets, rest)
    yield _part("websocket", "WebSocket", sockets)
    yield join(channel_sections(sockets))
    yield _part("rest", "REST", rest)
    yield join(tag_sections(rest))
    yield tag("section", tag("h2", "Error bodies"), error_bodies(rest), id="errors")


def _part(anchor: str, title: str, contract: Contract) -> Html:
    about = prose(contract.root["info"].get("description"))
    return tag("section", tag("h2", title), about, id=anchor, class_="part")


def _access(sockets: Contract, rest: Contract) -> Html:
    rows = []
    for title, contract in (("WebSocket", sockets), ("REST", rest)):
        for name, given in contract.root["components"].get("securitySchemes", {}).items():
            scheme = contract.follow(given)
            words = {
                "http": "Authorization: Bearer TOKEN",
                "apiKey": f"{scheme.get('name')}: TOKEN",
            }
            written = words.get(scheme["type"], str(scheme.get("name", name)))
            text = prose(scheme.get("description")) or tag("p", code(written))
            rows.append(
                tag("div", tag("dt", name, tag("span", title, class_="type")), tag("dd", text))
            )
    return tag(
        "section",
        tag("h2", "Access"),
        tag("p", "Where the server has tokens, every request that is not marked needs one."),
        tag("dl", rows, class_="fields"),
        id="access",
    )


def _contents(sockets: Contract, rest: Contract) -> Html:
    return tag(
        "nav",
        tag("p", tag("a", "cosyserve API", href="#main"), class_="brand"),
        tag("ul", _entry("access", "Access")),
        tag("p", tag("a", "WebSocket", href="#websocket")),
        (_channel(sockets, name) for name in sockets.root["channels"]),
        tag("p", tag("a", "REST", href="#rest")),
        (
            _group(
                slug("rest", name),
                name[:1].upper() + name[1:],
                (
                    _entry(
                        each.anchor,
                        tag("b", each.method.upper(), class_=f"method {each.method}"),
                        " ",
                        line(each.node.get("summary") or each.path),
                    )
                    for each in members
                ),
            )
            for name, members in operations(rest).items()
        ),
        tag("ul", _entry("errors", "Error bodies")),
        id="contents",
        aria_label="Contents",
    )


def _channel(sockets: Contract, name: str) -> Html:
    title = sockets.root["channels"][name].get("title") or name
    entries = (
        _entry(message_anchor(name, key), arrow, " ", code(message.get("name") or key))
        for action, arrow in (("receive", "→"), ("send", "←"))
        for key, message in messages(sockets, name, action).items()
    )
    return _group(slug("ws", name), title, entries)


def _group(anchor: str, title: str, entries: Iterator[Html]) -> Html:
    return tag("ul", tag("li", tag("a", title, href=f"#{anchor}"), tag("ul", entries)))


def _entry(anchor: str, *title: str) -> Html:
    return tag("li", tag("a", *title, href=f"#{anchor}"))


def _squeezed(style: str) -> str:
    return "".join(part.strip() for part in style.splitlines())
