"""Imports point one way, and the sans-IO core stays one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "protocol": set(),
    "engine": set(),
    "clients": {"protocol"},
    "server": {"protocol", "engine"},
}


def imported(path: Path, package: str) -> set[str]:
    """Names of our packages that a module imports, its own left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            depth = len(path.relative_to(ROOT / package).parts)
            if node.level > depth:
                raise AssertionError(
                    f"{path}:{node.lineno} leaves its package by a relative import"
                )
            names = [node.module or ""] if node.level == 0 else []
            names += [f"cosyserve.{a.name}" for a in node.names if node.module == "cosyserve"]
        else:
            continue
        for name in names:
            parts = name.split(".")
            assert parts[0] not in ALLOWED, f"{path}:{node.lineno} imports {name} by its folder"
            if parts[0] == "cosyserve" and len(parts) > 1:
                found.add(parts[1])
    return found - {package, "version"}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no module in {package}"
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package: str) -> None:
    for path in modules(package):
        wrong = imported(path, package) - ALLOWED[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_files_and_functions_stay_small(package: str) -> None:
    for path in modules(package):
        source = path.read_text()
        assert source.count("\n") <= 320, f"{path} has {source.count(chr(10))} lines"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno
                assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_only_the_settings_read_the_environment() -> None:
    for package in ALLOWED:
        for path in modules(package):
            if path.name.startswith("setting") or package == "clients":
                continue
            if path == ROOT / "engine/cosyvoice/lm/vllm/environment.py":  # vLLM reads nothing else
                continue
            assert "os.environ" not in path.read_text(), path


def test_vllm_is_imported_in_its_own_folder_only() -> None:
    for package in ALLOWED:
        for path in modules(package):
            if path.parent == ROOT / "engine/cosyvoice/lm/vllm":
                continue
            lines = path.read_text().splitlines()
            assert not [line for line in lines if re.match(r"\s*(import|from) vllm\b", line)], path
