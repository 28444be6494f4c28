"""What is on record of a speaker's consent to a reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from cosyserve.protocol.errors import InvalidParameter

LONGEST_NAME: Final = 128
LONGEST_NOTE: Final = 1000
"""Characters."""
EARLIEST: Final = date(1900, 1, 1)
_AHEAD: Final = timedelta(days=1)
"""East of Greenwich a day may have begun already."""


@dataclass(frozen=True, slots=True)
class Consent:
    """by: who consented. date: as 2026-01-31. note: what else is worth knowing, or "".

    It is what the uploader says; the server does not verify it.
    """

    by: str
    date: str
    note: str = ""


def parse_consent(by: str | None, on: str | None, note: str | None) -> Consent | None:
    """The record that an upload's fields give, None if it has none. Raises InvalidParameter."""
    by, on, note = ((each or "").strip() for each in (by, on, note))
    if not (by or on or note):
        return None
    if not (by and on):
        raise InvalidParameter(
            "consent_by, consent_date: allowed: both or neither, and a note with them only"
        )
    if len(by) > LONGEST_NAME or not by.isprintable():
        raise InvalidParameter(
            f"consent_by: {by[:40]!r} is not allowed; allowed: 1 to {LONGEST_NAME} printable characters"
        )
    if len(note) > LONGEST_NOTE or not "".join(note.split()).isprintable():
        raise InvalidParameter(
            f"consent_note: {note[:40]!r} is not allowed; allowed: up to {LONGEST_NOTE} printable characters"
        )
    return Consent(by, _day(on).isoformat(), note)


def _day(text: str) -> date:
    latest = datetime.now(UTC).date() + _AHEAD
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        day = None
    if day is None or len(text) != len("2026-01-31") or not EARLIEST <= day <= latest:
        raise InvalidParameter(
            f"consent_date: {text[:40]!r} is not allowed; allowed: a day up to today, as 2026-01-31"
        )
    return day
