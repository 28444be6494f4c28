from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.boundaries import MarkKind, MarkRow, Verdict, judge_marks
from cosyserve.engine.segmentation.lookahead import MOST_BLANKS, Lookahead, NeedMoreText


@pytest.mark.parametrize(
    ("run", "after", "verdict"),
    [
        (MarkRow(MarkKind.STOP, word="dog"), " ", Verdict.SENTENCE),
        (MarkRow(MarkKind.STOP, word="dog", closed=True), ' "', Verdict.SENTENCE),
        (MarkRow(MarkKind.BANG, word="dog", closed=True), " s", Verdict.CLAUSE),
        (MarkRow(MarkKind.STOP, word="Prof"), " ", Verdict.NOTHING),
        (MarkRow(MarkKind.STOP, word="Dr"), " Lee ", Verdict.NOTHING),
        (MarkRow(MarkKind.STOP, word="Dr"), " They ", Verdict.SENTENCE),
        (MarkRow(MarkKind.STOP, word="B", previous="plan"), " Anna ", Verdict.SENTENCE),
        (MarkRow(MarkKind.STOP, word="U.S", previous="在"), " 海", Verdict.NOTHING),
        (MarkRow(MarkKind.STOP, word="U.S", previous="the"), " 海", Verdict.SENTENCE),
        (MarkRow(MarkKind.STOP, word="p.m"), " The ", Verdict.SENTENCE),
        (MarkRow(MarkKind.STOP, word="p.m"), " Monday ", Verdict.NOTHING),
        (MarkRow(MarkKind.STOP, word="U.S"), " The.", Verdict.NOTHING),
        (MarkRow(MarkKind.STOP, word="1", item=True), " ", Verdict.NOTHING),
        (MarkRow(MarkKind.COMMA, before="1"), "0", Verdict.NOTHING),
        (MarkRow(MarkKind.WIDE_COMMA, before="1"), "0", Verdict.NOTHING),
        (MarkRow(MarkKind.WIDE), "a", Verdict.SENTENCE),
        (MarkRow(MarkKind.DASH, before="a"), "b", Verdict.CLAUSE),
        (MarkRow(MarkKind.HYPHEN, before="a"), "b", Verdict.NOTHING),
    ],
)
def test_run(run: MarkRow, after: str, verdict: Verdict) -> None:
    assert judge_marks(run, Lookahead(after, 0, final=False)) is verdict


@pytest.mark.parametrize(
    ("word", "after"), [("dog", ""), ("p.m", " "), ("p.m", " The"), ("etc", "  ")]
)
def test_undecided_run_asks_for_more(word: str, after: str) -> None:
    run = MarkRow(MarkKind.STOP, word=word)
    with pytest.raises(NeedMoreText):
        judge_marks(run, Lookahead(after, 0, final=False))
    assert isinstance(judge_marks(run, Lookahead(after, 0, final=True)), Verdict)


def test_many_blanks_count_as_the_end() -> None:
    run = MarkRow(MarkKind.STOP, word="etc")
    assert judge_marks(run, Lookahead(" " * MOST_BLANKS, 0, final=False)) is Verdict.SENTENCE
