"""What a record of consent may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.voices.consent import (
    LONGEST_NAME,
    LONGEST_NOTE,
    Consent,
    parse_consent,
)

DAY = "2026-01-31"


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_without_any_field_there_is_none(nothing: str | None) -> None:
    assert parse_consent(nothing, nothing, nothing) is None


def test_blanks_around_do_not_count_and_notes_may_have_lines() -> None:
    found = parse_consent(" Zo\u00eb ", f" {DAY}\n", " one\ntwo\tthree ")
    assert found == Consent("Zo\u00eb", DAY, "one\ntwo\tthree")


def test_the_longest_record_is_taken() -> None:
    assert parse_consent("x" * LONGEST_NAME, DAY, "y" * LONGEST_NOTE) is not None


@pytest.mark.parametrize(
    ("by", "on", "note"),
    [
        ("Anna", None, None),
        (None, DAY, None),
        (None, None, "a note"),
        ("x" * (LONGEST_NAME + 1), DAY, None),
        ("An\nna", DAY, None),
        ("\u202eAnna", DAY, None),
        ("Anna", DAY, "y" * (LONGEST_NOTE + 1)),
        ("Anna", DAY, "a\0b"),
    ],
)
def test_what_is_missing_or_too_much_is_refused(
    by: str | None, on: str | None, note: str | None
) -> None:
    with pytest.raises(InvalidParameter, match=r"^consent_.*allowed: ") as caught:
        parse_consent(by, on, note)
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "day",
    [
        "yesterday", "2026-02-30", "2026-1-31", "31.01.2026", "20260131", "2026-01-31T10:00", "1899-12-31",
        "9999-01-01", "0000-00-00", "2026-W05-6", "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_day_that_has_been_is_refused(day: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^consent_date: .*allowed: a day up to today"):
        parse_consent("Anna", day, None)


def test_the_day_may_have_begun_in_the_east_already() -> None:
    today = datetime.now(UTC).date()
    for day, taken in ((today, True), (today + timedelta(3), False)):
        if taken:
            assert parse_consent("Anna", day.isoformat(), None) is not None
        else:
            with pytest.raises(InvalidParameter):
                parse_consent("Anna", day.isoformat(), None)
