"""The protocol package imports nothing of ours, does no I/O and reads no clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cosyserve.protocol

FOLDER = Path(cosyserve.protocol.__path__[0])
FILES = sorted(FOLDER.rglob("*.py"))
# All that it may import. Nothing here opens a file or a socket, starts a thread or tells the time.
PURE = {
    "__future__",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "json",
    "orjson",
    "pybase64",
    "pydantic",
    "pydantic_core",
    "re",
    "types",
    "typing",
    "unicodedata",
    "wyoming",  # its events: what reads and writes them is ours
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}


def test_there_is_something_to_look_at() -> None:
    assert {"codec.py", "task.py", "rest.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_only_what_does_no_io(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                assert {each.name.partition(".")[0] for each in names} <= PURE, ast.unparse(node)
            case ast.ImportFrom(module=module, level=0):
                assert module is not None
                assert module.partition(".")[0] in PURE, ast.unparse(node)
            case ast.ImportFrom(level=level):
                assert level <= len(path.relative_to(FOLDER).parts), ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_calls_nothing_that_does_io(path: Path) -> None:
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & IMPURE_CALLS
