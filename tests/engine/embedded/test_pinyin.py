from __future__ import annotations

import pytest

from cosyserve.engine.embedded.alphabets import numbered


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("nǐ hǎo", "ni3 hao3"),
        ("ni3hao3", "ni3 hao3"),
        ("Zhōng guó", "zhong1 guo2"),
        ("lǜ lü4 lu:4 lv4", "lv4 lv4 lv4 lv4"),
        ("ma", "ma5"),
        ("ma0", "ma5"),
        ("", ""),
    ],
)
def test_syllables_get_numbers(text: str, numbers: str) -> None:
    assert numbered(text) == numbers
