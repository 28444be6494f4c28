"""The REST part of the reference, from openapi.yaml: operations by tag, and error bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .contract import Contract, Node, name_of
from .fields import describe, field_list, fields, type_line, type_name
from .markup import Html, code, join, line, prose, sample, slug, tag

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_UNTAGGED: Final = "other"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with the path's parameters among its own."""

    method: str
    path: str
    node: Node
    parameters: tuple[Any, ...]

    @property
    def anchor(self) -> str:
        if name := self.node.get("operationId"):
            return slug(name)
        return slug(self.method, self.path)


def operations(contract: Contract) -> dict[str, list[Operation]]:
    """All operations by their first tag, in the contract's order of tags."""
    found: dict[str, list[Operation]] = {each["name"]: [] for each in contract.root.get("tags", ())}
    for path, item in contract.root["paths"].items():
        for method in _METHODS:
            if method in item:
                node = item[method]
                shared = (*item.get("parameters", ()), *node.get("parameters", ()))
                first = next(iter(node.get("tags", ())), _UNTAGGED)
                found.setdefault(first, []).append(Operation(method, path, node, shared))
    return {name: each for name, each in found.items() if each}


def tag_sections(contract: Contract) -> Iterator[Html]:
    """A section for each tag."""
    about = {each["name"]: each.get("description") for each in contract.root.get("tags", ())}
    for name, members in operations(contract).items():
        yield tag(
            "section",
            tag("h2", name[:1].upper() + name[1:]),
            prose(about.get(name)),
            (_operation(contract, each) for each in members),
            id=slug("rest", name),
        )


def _operation(contract: Contract, operation: Operation) -> Html:
    node = operation.node
    return tag(
        "article",
        tag(
            "h3",
            tag("a", node.get("summary") or operation.path, href=f"#{operation.anchor}"),
        ),
        tag(
            "p",
            tag("b", operation.method.upper(), class_=f"method {operation.method}"),
            " ",
            code(operation.path),
            tag("span", "no token needed", class_="note") if node.get("security") == [] else None,
            tag("span", "deprecated", class_="note") if node.get("deprecated") else None,
            class_="address",
        ),
        prose(node.get("description")),
        parameters(contract, operation.parameters, operation.anchor),
        _request(contract, operation),
        _answers(contract, operation),
        id=operation.anchor,
    )


def parameters(contract: Contract, given: tuple[Any, ...], anchor: str) -> Html | None:
    """The parameters outside the body, as rows of their own; None if there are none."""
    rows = []
    for each in map(contract.follow, given):
        schema = contract.merged(each.get("schema", {}))
        shown = {**schema, "description": each.get("description") or schema.get("description", "")}
        where = slug(anchor, each["in"], each["name"])
        rows.append(
            tag(
                "div",
                tag(
                    "dt",
                    tag("a", code(each["name"]), href=f"#{where}"),
                    type_line(
                        f"{type_name(contract, schema)} in {each['in']}",
                        bool(each.get("required")),
                    ),
                ),
                tag("dd", describe(shown)),
                id=where,
            )
        )
    return join(tag("h4", "Parameters"), tag("dl", rows, class_="fields")) if rows else None


def _request(contract: Contract, operation: Operation) -> Html | None:
    body = contract.follow(operation.node.get("requestBody"))
    if not body:
        return None
    return join(
        tag("h4", "Request body"),
        prose(body.get("description")),
        _contents(contract, body, f"{operation.anchor}-body"),
    )


def _contents(contract: Contract, node: Node, anchor: str) -> Iterator[Html]:
    """A body in each of its content types."""
    for kind, content in node.get("content", {}).items():
        schema = content.get("schema", {})
        rows = list(fields(contract, schema))
        whole = contract.merged(schema)
        yield tag("p", code(kind), " ", tag("span", type_name(contract, whole), class_="type"))
        if whole.get("description"):
            yield describe(whole)
        if rows:
            yield field_list(contract, rows, slug(anchor, kind.rsplit("/", 1)[-1]))
        yield join(examples(contract, content))


def examples(contract: Contract, content: Node) -> Iterator[Html]:
    """The examples of a body, folded."""
    given = {"": {"value": content["example"]}} if "example" in content else {}
    for name, each in {**given, **content.get("examples", {})}.items():
        found = contract.follow(each)
        title = found.get("summary") or name.replace("-", " ").replace("_", " ")
        yield tag(
            "details",
            tag("summary", "Example" + (f": {title}" if title else "")),
            sample(found.get("value")),
        )


def _answers(contract: Contract, operation: Operation) -> Iterator[Html]:
    failures = []
    for status, given in operation.node.get("responses", {}).items():
        answer = contract.follow(given)
        if status.startswith(("4", "5", "default")) and _codes(contract, answer):
            failures.append(_failure(contract, status, answer))
            continue
        yield tag("h4", "Response ", tag("b", status, class_="status"))
        yield prose(answer.get("description"))
        yield _headers(contract, answer)
        yield join(_contents(contract, answer, f"{operation.anchor}-{status}"))
    if failures:
        yield tag("h4", "Errors")
        yield tag("dl", failures, class_="fields errors")


def _headers(contract: Contract, answer: Node) -> Html:
    rows = []
    for name, given in answer.get("headers", {}).items():
        header = contract.follow(given)
        schema = contract.merged(header.get("schema", {}))
        shown = {**schema, "description": header.get("description", "")}
        kind = tag("span", f"{type_name(contract, schema)} in header", class_="type")
        rows.append(tag("div", tag("dt", code(name), kind), tag("dd", describe(shown))))
    return tag("dl", rows, class_="fields") if rows else Html("")


def _failure(contract: Contract, status: str, answer: Node) -> Html:
    codes = (join(" ", code(each)) for each in _codes(contract, answer))
    headers = [code(name) for name in answer.get("headers", {})]
    text = join(line(answer.get("description")), [join(" Carries ", each, ".") for each in headers])
    return tag(
        "div", tag("dt", tag("b", status, class_="status"), codes), tag("dd", tag("p", text))
    )


def _codes(contract: Contract, answer: Node) -> list[str]:
    """The error codes of an answer, in our shape or with the code inside `error`."""
    for content in answer.get("content", {}).values():
        for each in fields(contract, content.get("schema", {})):
            if each.path[-1] == "code":
                return [str(value) for value in _values(each.schema)]
    return []


def _values(schema: Mapping[str, Any]) -> list[Any]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [value for value in values if value is not None]


def error_bodies(contract: Contract) -> Iterator[Html]:
    """Each shape of an error body, and its codes with their statuses."""
    shapes: dict[str, Any] = {}
    codes: dict[str, dict[str, str]] = {}
    for each in (one for members in operations(contract).values() for one in members):
        for status, given in each.node.get("responses", {}).items():
            answer = contract.follow(given)
            for content in answer.get("content", {}).values():
                name = _base(content.get("schema", {}))
                for value in _codes(contract, answer) if name else ():
                    shapes[name] = content["schema"]
                    codes.setdefault(name, {}).setdefault(f"{status} {value}", "")
    for name in shapes:
        anchor = slug("errors", name)
        schema = {"$ref": f"#/components/schemas/{name}"}
        yield tag(
            "article",
            tag("h3", tag("a", name, href=f"#{anchor}")),
            describe(contract.merged(schema)) if name else None,
            field_list(contract, list(fields(contract, schema)), anchor),
            tag("h4", "Codes by status"),
            tag("ul", _by_status(codes[name]), class_="codes"),
            id=anchor,
        )


def _by_status(pairs: Mapping[str, str]) -> Iterator[Html]:
    for pair in sorted(pairs):
        status, _, value = pair.partition(" ")
        yield tag("li", tag("b", status, class_="status"), " ", code(value))


def _base(schema: Any) -> str:
    """The name of the schema that an answer's body is, or narrows."""
    if name := name_of(schema):
        return name
    return next(filter(None, map(name_of, schema.get("allOf", ()))), "")
