"""The WebSocket part of the reference, from asyncapi.yaml: channels, and their messages by direction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .contract import Contract, Node, name_of
from .fields import describe, field_list, fields, type_name
from .markup import Html, code, join, line, prose, sample, slug, tag

_DIRECTIONS: Final = (("receive", "From the client"), ("send", "From the server"))


def channel_sections(contract: Contract) -> Iterator[Html]:
    """A section for each channel."""
    for name, channel in contract.root["channels"].items():
        anchor = slug("ws", name)
        yield tag(
            "section",
            tag("h2", channel.get("title") or name),
            tag(
                "p",
                tag("b", "WS", class_="method ws"),
                " ",
                code(channel["address"]),
                class_="address",
            ),
            prose(channel.get("description")),
            _address(contract, channel, anchor),
            _handshake(contract, channel, anchor),
            (_direction(contract, name, *each) for each in _DIRECTIONS),
            id=anchor,
        )


def messages(contract: Contract, channel: str, action: str) -> dict[str, Node]:
    """The messages that a channel's operations receive or send, by their key in the channel."""
    found: dict[str, Node] = {}
    for operation in _operations(contract, channel, action):
        of_channel = contract.root["channels"][channel]["messages"]
        given = operation.get("messages") or [
            {"$ref": f"#/channels/{channel}/messages/{key}"} for key in of_channel
        ]
        found |= {name_of(each): contract.follow(each) for each in given}
    return found


def message_anchor(channel: str, key: str) -> str:
    """The anchor of a message on the page."""
    return slug("ws", channel, key)


def _operations(contract: Contract, channel: str, action: str) -> Iterator[Node]:
    for operation in contract.root["operations"].values():
        if operation["action"] == action and name_of(operation["channel"]) == channel:
            yield operation


def _address(contract: Contract, channel: Node, anchor: str) -> Html | None:
    """The parameters in the address."""
    given = {name: contract.follow(each) for name, each in channel.get("parameters", {}).items()}
    schema = {"properties": {name: {"type": "string", **each} for name, each in given.items()}}
    return _titled(contract, "In the address", {**schema, "required": list(given)}, anchor)


def _handshake(contract: Contract, channel: Node, anchor: str) -> Iterator[Html | None]:
    """The query and the headers of the upgrade request."""
    binding = contract.follow(channel.get("bindings", {})).get("ws", {})
    for word, title in (("query", "Query of the upgrade"), ("headers", "Headers of the upgrade")):
        yield _titled(contract, title, binding.get(word, {}), f"{anchor}-{word}")


def _titled(contract: Contract, title: str, schema: Any, anchor: str) -> Html | None:
    rows = list(fields(contract, schema))
    return join(tag("h4", title), field_list(contract, rows, anchor)) if rows else None


def _direction(contract: Contract, channel: str, action: str, title: str) -> Html | None:
    found = messages(contract, channel, action)
    if not found:
        return None
    anchor = slug("ws", channel, action)
    summaries = (
        tag("p", line(each["summary"]))
        for each in _operations(contract, channel, action)
        if each.get("summary")
    )
    return join(
        tag("h3", title, id=anchor, class_="direction"),
        summaries,
        (_message(contract, channel, key, each) for key, each in found.items()),
    )


def _message(contract: Contract, channel: str, key: str, message: Node) -> Html:
    anchor = message_anchor(channel, key)
    payload = message.get("payload", {})
    rows = list(fields(contract, payload))
    kind = message.get("contentType")
    return tag(
        "article",
        tag(
            "h3",
            tag("a", code(message.get("name") or key), href=f"#{anchor}"),
            tag("small", message.get("title")),
        ),
        tag("p", line(message["summary"])) if message.get("summary") else None,
        prose(message.get("description")),
        tag("p", "Content type ", code(kind)) if kind else None,
        _plain(contract, payload) if not rows else field_list(contract, rows, anchor),
        (_example(each) for each in message.get("examples", ())),
        id=anchor,
    )


def _plain(contract: Contract, payload: Any) -> Html | None:
    """A payload without fields."""
    whole = contract.merged(payload)
    if not whole:
        return None
    return join(tag("p", tag("span", type_name(contract, whole), class_="type")), describe(whole))


def _example(example: Node) -> Html:
    title = example.get("summary") or str(example.get("name", "")).replace("-", " ")
    return tag(
        "details",
        tag("summary", "Example" + (f": {title}" if title else "")),
        sample(example.get("payload")),
    )
