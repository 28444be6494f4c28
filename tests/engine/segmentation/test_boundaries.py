from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.ahead import LOOKAHEAD, Ahead, MoreText
from cosyserve.engine.segmentation.boundaries import Mark, Run, Verdict, judge_run


@pytest.mark.parametrize(
    ("run", "after", "verdict"),
    [
        (Run(Mark.STOP, word="dog"), " ", Verdict.SENTENCE),
        (Run(Mark.STOP, word="dog", closed=True), ' "', Verdict.SENTENCE),
        (Run(Mark.BANG, word="dog", closed=True), " s", Verdict.CLAUSE),
        (Run(Mark.STOP, word="Prof"), " ", Verdict.NOTHING),
        (Run(Mark.STOP, word="Dr"), " Lee ", Verdict.NOTHING),
        (Run(Mark.STOP, word="Dr"), " They ", Verdict.SENTENCE),
        (Run(Mark.STOP, word="B", previous="plan"), " Anna ", Verdict.SENTENCE),
        (Run(Mark.STOP, word="U.S", previous="在"), " 海", Verdict.NOTHING),
        (Run(Mark.STOP, word="U.S", previous="the"), " 海", Verdict.SENTENCE),
        (Run(Mark.STOP, word="p.m"), " The ", Verdict.SENTENCE),
        (Run(Mark.STOP, word="p.m"), " Monday ", Verdict.NOTHING),
        (Run(Mark.STOP, word="U.S"), " The.", Verdict.NOTHING),
        (Run(Mark.STOP, word="1", item=True), " ", Verdict.NOTHING),
        (Run(Mark.COMMA, before="1"), "0", Verdict.NOTHING),
        (Run(Mark.WIDE_COMMA, before="1"), "0", Verdict.NOTHING),
        (Run(Mark.WIDE), "a", Verdict.SENTENCE),
        (Run(Mark.DASH, before="a"), "b", Verdict.CLAUSE),
        (Run(Mark.HYPHEN, before="a"), "b", Verdict.NOTHING),
    ],
)
def test_run(run: Run, after: str, verdict: Verdict) -> None:
    assert judge_run(run, Ahead(after, 0, final=False)) is verdict


@pytest.mark.parametrize(
    ("word", "after"), [("dog", ""), ("p.m", " "), ("p.m", " The"), ("etc", "  ")]
)
def test_undecided_run_asks_for_more(word: str, after: str) -> None:
    run = Run(Mark.STOP, word=word)
    with pytest.raises(MoreText):
        judge_run(run, Ahead(after, 0, final=False))
    assert isinstance(judge_run(run, Ahead(after, 0, final=True)), Verdict)


def test_many_blanks_count_as_the_end() -> None:
    run = Run(Mark.STOP, word="etc")
    assert judge_run(run, Ahead(" " * LOOKAHEAD, 0, final=False)) is Verdict.SENTENCE
