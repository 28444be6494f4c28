"""What a PromQL expression asks for: enough of its grammar to tell metrics from labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<number>[0-9][0-9a-zA-Z.]*)
  | (?P<symbol>=~|!~|!=|==|>=|<=|[-+*/%^(){}=<>,])
  | (?P<blank>\s+)
    """,
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})


@dataclass(frozen=True, slots=True)
class Query:
    """metrics: names of series with the labels that each is selected by. grouped: labels of by and on."""

    metrics: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.metrics)


def parse(expression: str) -> Query:
    """Raises ValueError where it is no PromQL that we know."""
    tokens = _tokens(expression)
    metrics: list[tuple[str, frozenset[str]]] = []
    grouped: set[str] = set()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        follows = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text in _GROUPING:
            if follows == "(":
                end = _closing(tokens, at + 1, ")")
                grouped |= {text for kind, text in tokens[at + 2 : end] if kind == "name"}
                at = end
        elif (
            kind == "name" and text not in _WORDS and follows != "(" and not _aggregates(tokens, at)
        ):
            labels: frozenset[str] = frozenset()
            if follows == "{":
                end = _closing(tokens, at + 1, "}")
                labels = frozenset(text for kind, text in tokens[at + 2 : end] if kind == "name")
                at = end
            metrics.append((text, labels))
        at += 1
    return Query(tuple(metrics), frozenset(grouped))


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"not understood: {expression[at : at + 20]!r}")
        if match.lastgroup != "blank":
            found.append((match.lastgroup, match.group()))
        at = match.end()
    return found


def _aggregates(tokens: list[tuple[str, str]], at: int) -> bool:
    """sum in `sum by (...) (...)`: a name before a grouping is an aggregation, unless it ends a vector."""
    return at + 1 < len(tokens) and tokens[at + 1][1] in ("by", "without")


def _closing(tokens: list[tuple[str, str]], at: int, bracket: str) -> int:
    for place in range(at, len(tokens)):
        if tokens[place][1] == bracket:
            return place
    raise ValueError(f"no {bracket} after {tokens[at][1]}")
