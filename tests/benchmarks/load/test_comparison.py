from pathlib import Path

from cosyserve.benchmarks.load.comparison import HEAD, Ratio, alternately, ratios, row


async def test_both_are_measured_in_each_round_in_turn() -> None:
    asked = []

    async def measure(packages: Path) -> dict[str, float]:
        asked.append(packages.name)
        return {"count": len(asked), "side": ["this", "other"].index(packages.name)}

    rounds = await alternately(measure, Path("this"), Path("other"), 3)
    assert asked == ["this", "other", "other", "this", "this", "other"]
    assert [(ours["side"], theirs["side"]) for ours, theirs in rounds] == [(0, 1)] * 3
    assert [(ours["count"], theirs["count"]) for ours, theirs in rounds] == [(1, 2), (4, 3), (5, 6)]


def test_rounds_are_divided_one_by_one() -> None:
    rounds = [({"ms": 1.0}, {"ms": 2.0}), ({"ms": 30.0}, {"ms": 20.0}), ({"ms": 6.0}, {"ms": 6.0})]
    [ratio] = ratios("level", rounds)
    assert ratio == Ratio("level", "ms", 6.0, 6.0, 1.0, 0.5, 1.5)
    assert row(ratio) == ("level", "ms", "6", "6", "1.000", "0.500", "1.500")
    assert len(row(ratio)) == len(HEAD)
