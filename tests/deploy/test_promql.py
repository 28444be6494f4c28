"""The reader of PromQL that the other tests rely on."""

from __future__ import annotations

import pytest

from support.tools.promql import parse


def test_names_labels_and_groupings_are_told_apart() -> None:
    query = parse(
        'histogram_quantile(0.95, sum by (job, le) (rate(a_bucket{x="1", y=~"b{c}"}[5m]))) > 0.5 '
        "and on (job) group_left sum(b) without (z) or vector(0)"
    )
    assert query.metrics == (("a_bucket", frozenset({"x", "y"})), ("b", frozenset()))
    assert query.grouped == {"job", "le", "z"}


def test_arithmetic() -> None:
    query = parse("predict_linear(a[2h], 8 * 3600) > 2 * a and (time() - b) / c >= 1e3")
    assert query.names == {"a", "b", "c"}
    assert query.grouped == frozenset()


@pytest.mark.parametrize("wrong", ["a{x=`1`}", 'a{x="1"', "a # b"])
def test_what_is_not_understood_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|no }"):
        parse(wrong)
