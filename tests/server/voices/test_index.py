from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.voices.s3 import Keys, parse
from cosyserve.server.voices.s3_bucket import Listed
from support.peers.references import make_reference

KEYS = Keys("clips-of-us/")
NOW = datetime.now(UTC)
times = st.tuples(st.integers(0, 10**12 - 1), st.integers(0, 2**63))


@given(st.lists(times, unique=True))
def test_keys_in_order_are_newest_first_and_tell_their_times(made: list[tuple[int, int]]) -> None:
    reference = make_reference(name="anna")
    for number in (0, 1):
        keys = sorted(
            KEYS.entries(replace(reference, created_at=second), sequence)[number]
            for second, sequence in made
        )
        found = [entry.order for entry in parse([Listed(key, NOW) for key in keys])]
        assert found == [(*time, reference.id) for time in sorted(made, reverse=True)]


@pytest.mark.parametrize("created_at", [-1, 10**12])
def test_times_out_of_range_are_refused(created_at: int) -> None:
    with pytest.raises(ValueError, match="not UNIX seconds"):
        KEYS.entries(make_reference(created_at=created_at), 1)


@given(st.text(st.characters(exclude_categories=())), st.text(min_size=1))
def test_an_entry_is_where_it_is_looked_for_whatever_the_names(owner: str, name: str) -> None:
    reference = make_reference(owner=owner, name=name)
    listed, named = KEYS.entries(reference, 1)
    for who in (owner, None):
        assert listed.startswith(KEYS.owned(who))
        assert named.startswith(KEYS.named(name, who))
    assert KEYS.entries(replace(reference, name=""), 1) == [listed]
    for key in (listed, named):
        assert key.isascii()
        assert key.replace("/", "").replace("-", "").isalnum()


def test_other_keys_are_no_entries() -> None:
    (key,) = KEYS.entries(make_reference(), 1)
    others = [key[:-1], f"{key}0", key.upper(), key + "/x", "", "clips-of-us/index/"]
    assert parse([Listed(other, NOW) for other in others]) == []
