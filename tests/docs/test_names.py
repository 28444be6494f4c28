"""What the glossary and the ten questions name is in the code."""

from __future__ import annotations

import ast
import re

import pytest

from support.tools.documents import ROOT, rows

GLOSSARY = rows("docs/glossary.md")
QUESTIONS = rows("CONTRIBUTING.md", "Ten questions")
PLACE = re.compile(r"((?:`\w+`(?:, )?)+) in `([\w/]+\.py)`")


def defined(path: str) -> set[str]:
    """The classes and functions at the top of a module."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize(("word", "place"), [(row[0], row[2]) for row in GLOSSARY])
def test_a_word_of_the_glossary_is_in_the_code(word: str, place: str) -> None:
    parts = place.split("; ")
    for part in parts:
        match = PLACE.fullmatch(part)
        assert match, f"{word}: {part}"
        assert set(re.findall(r"\w+", match[1])) <= defined(match[2]), f"{word}: {part}"


def test_the_glossary_has_a_word_once() -> None:
    words = [word for row in GLOSSARY for word in row[0].split(", ")]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(("question", "files", "names"), QUESTIONS)
def test_a_question_is_answered_by_two_files_at_most(question: str, files: str, names: str) -> None:
    paths = re.findall(r"`([^`]+)`", files)
    assert 1 <= len(paths) <= 2
    texts = [(ROOT / path).read_text(encoding="utf-8") for path in paths]
    for name in re.findall(r"`([^`]+)`", names):
        assert any(re.search(rf"\b{name}\b", text) for text in texts), f"{question} {name}"


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) == 10
