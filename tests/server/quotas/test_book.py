"""What is counted, and when it is too much."""

from __future__ import annotations

import pytest

from cosyserve.protocol.errors import QuotaExceeded
from cosyserve.protocol.messages import QuotaLeft
from cosyserve.server.quotas import DailyQuotas
from cosyserve.server.quotas.book import Use
from cosyserve.server.quotas.day import DAY
from cosyserve.server.settings.values import DailyQuota

from .test_day import Clocks


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def quotas(clocks: Clocks) -> DailyQuotas:
    """Alice has 10 characters and 2 seconds, Bob has any amount, others have 5 characters."""
    own = {"alice": DailyQuota(10, 2.0), "bob": DailyQuota()}
    return DailyQuotas(DailyQuota(5), own, clocks.day())


def test_text_over_the_quota_is_refused_and_not_counted(quotas: DailyQuotas) -> None:
    first, second = quotas.task("alice"), quotas.task("alice")
    first.text(6)
    with pytest.raises(
        QuotaExceeded, match="10 characters a day and has 4 left; try again in 43200 s"
    ):
        second.text(5)
    second.text(4)
    assert quotas.use("alice") == Use(10, 0.0)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.task("alice").begin()
    assert (caught.value.status, caught.value.retry_after) == (429, 43200)


def test_speech_ends_once_the_seconds_are_used(quotas: DailyQuotas) -> None:
    task = quotas.task("alice")
    task.begin()
    task.speech(1.5)
    task.go_on()
    task.speech(0.75)
    for step in (task.go_on, quotas.task("alice").begin):
        with pytest.raises(QuotaExceeded, match="2 s of speech a day and has 0 left"):
            step()


def test_everybody_else_has_the_default_and_some_have_any_amount(quotas: DailyQuotas) -> None:
    quotas.task("bob").text(1_000_000)
    assert quotas.left("bob") is None
    assert quotas.headers("bob") == {}
    with pytest.raises(QuotaExceeded):
        quotas.task("carol").text(6)
    assert quotas.left("carol") == QuotaLeft(5, None, DAY / 2)


def test_a_new_day_begins_at_nothing(quotas: DailyQuotas, clocks: Clocks) -> None:
    task = quotas.task("alice")
    task.text(10)
    clocks.pass_(DAY / 2)
    task.text(10)
    assert quotas.left("alice") == QuotaLeft(0, 2.0, DAY)


def test_text_that_is_never_spoken_does_not_count(quotas: DailyQuotas, clocks: Clocks) -> None:
    task = quotas.task("alice")
    task.text(8)
    task.unspoken(5)
    task.unspoken(5)
    assert quotas.use("alice").characters == 3
    yesterday = quotas.task("alice")
    yesterday.text(4)
    clocks.pass_(DAY / 2)
    quotas.task("alice").text(9)
    yesterday.unspoken(4)
    assert quotas.use("alice").characters == 9


def test_quotas_may_change_and_counts_stay(quotas: DailyQuotas) -> None:
    quotas.task("alice").text(10)
    quotas.task("bob").text(7)
    quotas.replace({"alice": DailyQuota(12), "bob": DailyQuota(6)})
    assert quotas.left("alice") == QuotaLeft(2, None, DAY / 2)
    assert quotas.left("bob") == QuotaLeft(0, None, DAY / 2)
    assert [*quotas.limited()] == [("alice", "characters"), ("bob", "characters")]
    assert quotas.share("alice", "characters") == pytest.approx(10 / 12)
    assert quotas.share("alice", "seconds") == 0.0


def test_headers_are_structured_fields(quotas: DailyQuotas) -> None:
    task = quotas.task("alice")
    task.text(4)
    task.speech(0.5)
    assert quotas.headers("alice") == {
        "RateLimit-Policy": '"characters";q=10;w=86400, "seconds";q=2;w=86400',
        "RateLimit": '"characters";r=6;t=43200, "seconds";r=1;t=43200',
    }


def test_without_tokens_everybody_shares_one(clocks: Clocks) -> None:
    quotas = DailyQuotas(DailyQuota(None, 60), {}, clocks.day())
    assert [*quotas.limited()] == [("anonymous", "seconds")]
    assert quotas.any
    assert not DailyQuotas(DailyQuota(), {"a": DailyQuota()}, clocks.day()).any
