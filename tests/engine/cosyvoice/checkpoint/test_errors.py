"""Problems as lines that a terminal can take."""

from __future__ import annotations

from cosyserve.engine.cosyvoice.checkpoint.errors import CheckpointError, listing, printable


def test_an_error_has_lines_and_one_text() -> None:
    assert CheckpointError("one").problems == ("one",)
    error = CheckpointError(["one", "two"])
    assert error.problems == ("one", "two")
    assert str(error) == "one; two"


def test_long_lists_end_with_a_count() -> None:
    assert listing(["a", "b"], 2) == "a, b"
    assert listing(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_hostile_names_are_cut_and_cleaned() -> None:
    assert printable("a\x1b[31m\nb") == "a?[31m?b"
    assert printable("x" * 1000, 10) == "x" * 10 + "..."
