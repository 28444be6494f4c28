from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.boundaries import (
    Abbreviation,
    abbreviation,
    ends_before,
    is_initial,
    starts_sentence,
)
from cosyserve.engine.segmentation.segmenter import SegmentPolicy, TextSegmenter

WHOLE = SegmentPolicy(max_characters=2000, split_clauses=False, first_clause_min_characters=None)

# Each row is one sentence.
WITHIN = """\
It opens on Feb. 3 at noon.
He was born on Jan. 5, 2024 in Rome.
The attack of Sept. 11 changed it.
They met in Oct. and again in Nov. of that year.
She works on Mon. Tue. and Fri. only.
As Fig. 7 shows, it grows.
See Figs. 3 and 4 for more.
Vol. 2 is out of print.
He read Vol. II of it.
This is in App. B of the book.
Look at p. 5 and pp. 10 to 12.
Read Ch. 4 and Sec. 3 first.
The proof needs Eq. 12 of the text.
See Ref. 9 for it.
It is No. 12 on the list.
Nos. 3 and 4 are gone.
He lives in Apt. 4 of Bldg. 12.
Take Rte. 9 or Hwy. 66 to town.
Call Tel. 555 or Ext. 12 now.
Spain vs. Italy was a good match.
Roe v. Wade was decided then.
The U.S. Navy came.
The U.K. Parliament met.
The U.N. Security Council met.
He is a U.S. citizen by birth.
The E.U. Commission said so.
Washington D.C. is warm.
We climbed Mt. Fuji in May.
They live in St. Paul now.
The guns of Ft. Knox are old.
Pt. Reyes is a cape.
Ask Dr. Lee about it.
Mr. and Mrs. Brown are here.
Ms. Chen and Prof. Wang spoke.
Gen. Smith met Col. Brown and Capt. Kirk.
Sgt. Pepper and Lt. Columbo came.
Sen. Warren and Rep. Lewis voted.
Gov. Newsom met Pres. Biden there.
The Rev. King and Fr. Brown pray.
Hon. Judge Judy presides.
Brig. Gen. Jones left.
Messrs. Smith and Co. wrote it.
It costs approx. 30 dollars.
Some fruit, e.g. this one, is red.
The capital, i.e. Paris, is big.
Cf. Smith on this.
Apple Inc. said so.
Acme Corp. President Tim Cook spoke.
Toys Ltd. and Cars Co. merged.
Warner Bros. makes films.
Sony Corp. of America sued.
Martin Luther King Jr. was there.
Sammy Davis Jr. and Frank sang.
The shop at 5th Ave. and Main is shut.
Sunset Blvd. is long.
Bread, milk, etc. and more.
Bread (milk, etc.) and more.
Smith et al. found it.
Smith et al. (2020) found it.
It opens at 9 a.m. on Sunday.
It closes at 5 p.m. Monday to Friday.
It begins at 8 p.m. EST tonight.
It begins at 8 p.m. Eastern time.
The 9 a.m. train is late.
She is a Ph.D. student.
Jane Doe, Ph.D. of Oxford, spoke.
He has an M.B.A. from Harvard.
J. R. R. Tolkien wrote it.
George W. Bush and John F. Kennedy met.
It was written by C. S. Lewis.
J.K. Rowling is rich.
The wall is 6 ft. high and 10 in. wide.
Add 2 tbsp. of oil and 1 tsp. of salt.
It weighs 5 lbs. or 80 oz. in all.
Wait 10 min. or 2 hrs. at most.
The Univ. of Utah won.
The Dept. of State knows.
Founded est. 1999 in Ohio.
Max. speed is 30 km.
He went to Springfield, Ill. and then home.
They live in Boston, Mass. Avenue is near.
Written ca. 1900 in Rome.
It rained, incl. Sunday.
The match, resp. Game, was short.
He was a.k.a. Bob.
Use the std. input of it.
我在U.S. 海军服役。
他住在St. Paul市。
请看Fig. 3和p. 5的说明。
Mr. 王和Dr. 李来了。
他是No. 1选手。
我们在Feb. 3见面。
这是Vol. 2的内容。
iPhone vs. 华为哪个好。
会议在9 a.m. 开始。
他喜欢水果，e.g. 苹果。
那是J. K. Rowling写的书。
"""

# Each row is a text with | where sentences meet.
ENDING = """\
He lives in the U.S. |They moved.
We met at 5 p.m. |Then we left.
We met at 5 p.m. |Anna was late.
It opens at 9 a.m. |The doors are shut.
He is from Acme Inc. |The firm is big.
She works for Cars Ltd. |It is small.
He moved to Washington, D.C. |There he died.
She has a Ph.D. |It took years.
Bread, milk, etc. |Then go home.
Bread, milk, etc. |Eggs are out.
On Elm St. |They live well.
He lives on Main St. |She does not.
It is on Ocean Dr. |The house is old.
It was in Jan. |We were cold.
He came in Feb. |I did not.
No. |I said so.
No. |Go away.
We took plan B. |Anna cried.
Eat vitamin C. |Oranges have it.
He is taller than I. |Tom is small.
You and I. |Nobody else.
We took part. |Then we left.
It is art. |You know it.
He turned the p. |Next he slept.
The wall is 6 ft. |It is high.
It took 10 min. |We waited.
He spoke of Martin Luther King Jr. |The crowd sang.
It is at 5th Ave. |You see it.
See Smith et al. |They know.
He is in the U.S. |"We came," she said.
He said: "I live in the U.K." |They left.
It opens (at 9 a.m.) |The end.
I sat. |The sun. |It went.
They went to mass. |Then home.
He is ill. |We know.
It is the end of the sec. |Now go.
他来自U.S. |He likes it.
He lives in the U.S. |他住在美国。
我去了。|Mr. Lee也去了。
他说No. |Then he left.
"""


def sentences(text: str, size: int) -> list[str]:
    segmenter = TextSegmenter(WHOLE)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = [segment for piece in pieces for segment in segmenter.feed(piece)]
    return [segment.text.strip() for segment in found + segmenter.finish()]


@pytest.mark.parametrize("text", WITHIN.splitlines())
def test_no_sentence_ends_within(text: str) -> None:
    assert sentences(text, 1) == sentences(text, len(text)) == [text]


@pytest.mark.parametrize("case", ENDING.splitlines())
def test_sentences_end_after_abbreviations_too(case: str) -> None:
    expected = [part.strip() for part in case.split("|")]
    text = case.replace("|", "")
    assert sentences(text, 1) == sentences(text, len(text)) == expected


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Mr GEN vs e.g i.e approx z.B", Abbreviation.NEVER),
        ("St Mt Dr", Abbreviation.PLACE),
        ("No p art", Abbreviation.NUMBER),
        ("Fig vol App", Abbreviation.REFERENCE),
        ("etc usw т.д", Abbreviation.CAPITAL),
        ("a.m p.m P.M", Abbreviation.HOUR),
        ("U.S Ph.D M.Sc J Jan Mon Inc al Calif", Abbreviation.STARTER),
    ],
)
def test_kinds(words: str, kind: Abbreviation) -> None:
    assert {abbreviation(word) for word in words.split()} == {kind}


def test_plain_words_are_none() -> None:
    words = ["", "dog", "dr", "sun", "sat", "ill", "x", "a.out", "node.js", "3", "2.0.1", "a" * 50]
    assert [word for word in words if abbreviation(word) is not None] == []


@pytest.mark.parametrize(
    ("kind", "word", "ends"),
    [
        (Abbreviation.NEVER, "The", False),
        (Abbreviation.PLACE, "They", True),
        (Abbreviation.PLACE, "Paul", False),
        (Abbreviation.REFERENCE, "IV", False),
        (Abbreviation.REFERENCE, "Ivy", True),
        (Abbreviation.HOUR, "PST", False),
        (Abbreviation.HOUR, "Sunday", False),
        (Abbreviation.HOUR, "Anna", True),
        (Abbreviation.STARTER, "The", True),
        (Abbreviation.STARTER, "Navy", False),
    ],
)
def test_what_follows_decides(kind: Abbreviation, word: str, ends: bool) -> None:
    assert ends_before(kind, word) is ends


def test_a_letter_that_names_one_of_several_is_no_initial() -> None:
    assert is_initial("J", "")
    assert is_initial("W", "George")
    assert is_initial("C", "by")
    assert not is_initial("B", "plan")
    assert not is_initial("I", "and")


def test_sentence_starters() -> None:
    assert starts_sentence("The")
    assert not starts_sentence("A.")
    assert not starts_sentence("Monday")
    assert not starts_sentence("")
