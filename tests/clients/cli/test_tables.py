from hypothesis import given
from hypothesis import strategies as st

from cosyserve.clients.cli.voices import display_width, format_table


def test_columns_stand_under_their_heads_and_numbers_to_the_right() -> None:
    table = format_table(("name", "ms"), [("a", "5.0"), ("long name", "12.5"), ("b", "-")])
    assert table == "name         ms\na           5.0\nlong name  12.5\nb             -"


def test_wide_characters_take_two_columns() -> None:
    assert format_table(("a", "b"), [("你好", "x")]) == "a     b\n你好  x"


def test_what_cannot_be_printed_does_nothing_to_the_terminal() -> None:
    assert format_table(("a",), [("\x1b[2Jx\n\u202ey",)]) == "a\n\ufffd[2Jx\ufffd\ufffdy"


cells = st.text(st.sampled_from("ab你 1.%-"), max_size=6)


@given(st.lists(st.tuples(cells, cells, st.just("|")), min_size=1, max_size=6))
def test_the_last_column_is_straight(rows: list[tuple[str, str, str]]) -> None:
    lines = format_table(("x", "y", "z"), rows).split("\n")
    assert len({display_width(line[: line.index("|")]) for line in lines[1:]}) == 1
