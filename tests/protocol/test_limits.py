"""The limits on text."""

from __future__ import annotations

import pytest

from cosyserve.protocol.errors import TextTooLong
from cosyserve.protocol.text import TextLimits


def test_the_limits_themselves_are_allowed() -> None:
    limits = TextLimits(message=5, task=8)
    limits.check("12345")
    limits.check("12345", before=3)
    limits.check("", before=8)
    limits.check("𠀀" * 5)


@pytest.mark.parametrize(
    ("text", "before", "named"),
    [
        ("123456", 0, "6 characters in one message; allowed: 5"),
        ("1", 8, "9 characters in one task"),
    ],
)
def test_more_is_refused(text: str, before: int, named: str) -> None:
    with pytest.raises(TextTooLong, match=named):
        TextLimits(message=5, task=8).check(text, before)


def test_defaults() -> None:
    assert TextLimits() == TextLimits(message=20_000, task=200_000)
