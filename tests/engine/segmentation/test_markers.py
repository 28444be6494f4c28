from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.lookahead import Lookahead, NeedMoreText
from cosyserve.engine.segmentation.markers import find_marker, follows


def marker(text: str, successor: str = "") -> tuple[str, int, str] | None:
    found = find_marker(Lookahead(text, 0, final=True), successor)
    return None if found is None else (found.text, found.number, found.successor)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", ("-", 0, "")),
        ("### a", ("###", 0, "")),
        ("•a", ("•", 0, "")),
        ("1. a", ("1.", 1, "2.")),
        ("9.苹", ("9.", 9, "10.")),
        ("12) a", ("12)", 12, "13)")),
        ("(3) a", ("(3)", 3, "(4)")),
        ("（三）苹", ("（三）", 3, "（四）")),
        ("九、苹", ("九、", 9, "十、")),
        ("二十一、苹", ("二十一、", 21, "二十二、")),
        ("①a", ("①", 1, "②")),
        ("⑳a", ("⑳", 20, "")),
        ("a) a", ("a)", 1, "b)")),
        ("iv. a", ("iv.", 4, "v.")),
        ("II. A", ("II.", 2, "III.")),
        ("A. B", ("A.", 1, "B.")),
        ("Step 1: a", ("Step 1:", 1, "Step 2:")),
        ("第一步：打", ("第一步：", 1, "第二步：")),
    ],
)
def test_markers(text: str, expected: tuple[str, int, str]) -> None:
    assert marker(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-a",
            "#a",
            "**a**",
            "1.5",
            "10:30",
            "1234. a",
            "i.e. a",
            "a.m. a",
            "J. Smith",
            "Vi. a",
        ),
        *(
            "三、四个",
            "(see a)",
            "第一次",
            "Step by step",
            "Stephen",
            "二月",
            "a, b",
            "Milk",
            "苹果",
        ),
    ],
)
def test_no_markers(text: str) -> None:
    assert marker(text) is None


def test_a_capital_letter_is_a_marker_in_its_turn() -> None:
    assert marker("C. Then", "C.") == ("C.", 3, "D.")


def test_an_undecided_marker_asks_for_more() -> None:
    for text in ("", "1", "12", "(", "(1", "1.", "第", "第一", "Ste", "Step 1", "#", "-", "iv"):
        with pytest.raises(NeedMoreText):
            find_marker(Lookahead(text, 0, final=False))


@pytest.mark.parametrize(
    ("text", "successor", "begins"),
    [
        ("2. b", "2.", True),
        ("2.5 b", "2.", False),
        ("2. 5", "2.", False),
        ("2.\nb", "2.", False),
        ("2.", "2.", False),
        ("2.b", "2.", False),
        ("2.苹", "2.", True),
        ("②b", "②", True),
        ("2) b", "2)", True),
        ("3. b", "2.", False),
    ],
)
def test_the_next_item(text: str, successor: str, begins: bool) -> None:
    assert follows(Lookahead(text, 0, final=True), successor) is begins
