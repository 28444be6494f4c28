from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from cosyserve.clients.cli.tables import print_table


def printed(
    capsys: pytest.CaptureFixture[str], head: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    print_table(head, rows)
    return capsys.readouterr().out


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns without colours."""
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "40", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)


def test_columns_stand_under_their_heads_and_numbers_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = printed(capsys, ("name", "ms"), [("a", "5.0"), ("long name", "12.5"), ("b", "-")])
    assert table == "name         ms\na           5.0\nlong name  12.5\nb             -\n"


def test_wide_characters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ("a", "b"), [("你好", "x")]) == "a     b\n你好  x\n"


def test_what_cannot_be_printed_does_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = printed(capsys, ("a",), [("\x1b[2Jx\n\u202ey[bold]z",)])
    assert table == "a\n\ufffd[2Jx\ufffd\ufffdy[bold]z\n"


def test_a_pipe_gets_a_row_a_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    words = "word " * 200
    assert printed(capsys, ("a", "b"), [(words, "x"), ("", "y")]).count("\n") == 3


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_long_cells_on_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, ("id", "text"), [("reference-1", "word " * 20)])
    lines = table.splitlines()
    assert len(lines) > 3
    assert max(map(cell_len, lines)) <= 40


@pytest.mark.usefixtures("terminal")
def test_numbers_are_whole_on_a_terminal_that_is_too_narrow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = [f"{number}234.5" for number in range(9)]
    assert printed(capsys, [f"p{number}" for number in range(9)], [numbers]).split()[9:] == numbers


cells = st.text(st.sampled_from("ab你 1.%-"), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells, st.just("|")), min_size=1, max_size=6))
def test_the_last_column_is_straight(
    capsys: pytest.CaptureFixture[str], rows: list[tuple[str, str, str]]
) -> None:
    lines = printed(capsys, ("x", "y", "z"), rows).split("\n")[1:-1]
    assert len({cell_len(line[: line.index("|")]) for line in lines}) == 1
