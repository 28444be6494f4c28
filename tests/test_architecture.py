"""The tree's own rules: which way imports point, how large rooms are, and what names stand for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "protocol": set(),
    "engine": set(),
    "clients": {"protocol"},
    "server": {"protocol", "engine"},
    "training": {"engine"},
}
PACKAGES = (*sorted(ALLOWED), "benchmarks")
MOST_MODULES = 15
MOST_LINES = 600
LONGEST_FUNCTION = 60
READS_THE_ENVIRONMENT = {
    "server/settings",
    "engine/cosyvoice/lm/vllm/compat.py",  # vLLM reads nothing else
}
SHARED = {
    # The engine and the protocol may not import each other, and both sides of that border name a mark alike.
    "Mark",
}
"""Class names that may stand for one thing in two packages, with the reason."""


OTHER_TESTS = {
    "fuzz",  # whatever comes in, all the way from the socket
    "journeys",  # what a listener hears, all the way from the text
    "third_party",  # other people's clients
}
"""Folders of tests that are of no folder of the product."""


@cache
def modules(package: str) -> tuple[Path, ...]:
    found = tuple(sorted((ROOT / package).rglob("*.py")))
    assert found, f"no module in {package}"
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("cosyserve", *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {name_of(path): path for package in PACKAGES for path in modules(package)}


def imported(path: Path, *, at_start: bool = False) -> set[str]:
    """The modules of ours that a module imports; at_start: when it is itself imported."""
    package = (
        name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    )
    found = set()
    for node in _started(parsed(path)) if at_start else ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            assert node.level < len(package), f"{path}:{node.lineno} leaves its package"
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else module for name in names]
        else:
            continue
        for name in names:
            assert name.split(".")[0] not in ALLOWED, f"{path}:{node.lineno} imports {name}"
            if name in MODULES:
                found.add(name)
    return found - {name_of(path)}


def _started(node: ast.AST) -> list[ast.AST]:
    """The nodes that run when a module is imported: not those in functions or for type checkers."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        found += [child, *_started(child)]
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package: str) -> None:
    for path in modules(package):
        others = {name.split(".")[1] for name in imported(path)} - {package}
        wrong = others - ALLOWED[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_no_imports_go_in_a_circle() -> None:
    arrows = {name: imported(path, at_start=True) for name, path in MODULES.items()}
    done: set[str] = set()
    for start in arrows:
        way: list[str] = []

        def walk(name: str, way: list[str] = way) -> None:
            assert name not in way, " -> ".join([*way[way.index(name) :], name])
            if name in done:
                return
            way.append(name)
            for following in sorted(arrows[name]):
                walk(following)
            way.pop()
            done.add(name)

        walk(start)


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_and_files_and_functions_stay_small(package: str) -> None:
    rooms: dict[Path, int] = defaultdict(int)
    for path in modules(package):
        rooms[path.parent] += path.name != "__init__.py"
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= MOST_LINES, f"{path} has {lines} lines"
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno
                assert length <= LONGEST_FUNCTION, f"{path}:{node.lineno} {node.name}: {length}"
    full = {str(room.relative_to(ROOT)): count for room, count in rooms.items()}
    assert not {room: count for room, count in full.items() if count > MOST_MODULES}


def test_a_class_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, path in MODULES.items():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    twice = {name for name, found in places.items() if len(found) > 1}
    assert twice == SHARED


def test_only_the_settings_read_the_environment() -> None:
    for package in set(ALLOWED) - {"clients"}:
        for path in modules(package):
            place = str(path.relative_to(ROOT))
            if not any(place.startswith(allowed) for allowed in READS_THE_ENVIRONMENT):
                assert "os.environ" not in path.read_text(encoding="utf-8"), path


def test_the_server_leaves_the_threads_of_the_event_loop_to_libraries() -> None:
    """They are few and everybody's: work of one kind would keep all others waiting."""
    for path in modules("server"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"to_thread\(|run_in_executor\(None|\bloop\.getaddrinfo", text), path


def test_vllm_is_imported_in_its_own_folder_only() -> None:
    for package in ALLOWED:
        for path in modules(package):
            if path.parent == ROOT / "engine/cosyvoice/lm/vllm":
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            assert not [line for line in lines if re.match(r"\s*(import|from) vllm\b", line)], path


def test_tests_are_in_the_folder_of_what_they_test() -> None:
    tests = ROOT / "tests"
    rooms = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")} - {Path()}
    assert {room.parts[0] for room in rooms} >= OTHER_TESTS
    mirrored = {room for room in rooms if room.parts[0] not in OTHER_TESTS}
    assert not {str(room) for room in mirrored if not _holds_files(ROOT / room)}


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(each.name != "__pycache__" for each in folder.iterdir())
