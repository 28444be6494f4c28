from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cosyserve.engine.segmentation.characters import is_extender, weight
from cosyserve.engine.segmentation.layout import Layout
from cosyserve.engine.segmentation.lookahead import MOST_BLANKS, Lookahead
from cosyserve.engine.segmentation.segmenter import (
    OpenSegment,
    Segment,
    SegmentPolicy,
    TextSegmenter,
    speakable,
)

SENTENCES = SegmentPolicy(split_clauses=False, first_clause_min_characters=None)
CLAUSES = SegmentPolicy(clause_min_characters=1, first_clause_min_characters=1)
SHORT = SegmentPolicy(max_characters=12)
POLICIES = (SegmentPolicy(), SENTENCES, CLAUSES, SHORT)

PIECES = (
    *("Hello", "world", "wait", "The", "U.S", "p.m", "Mr", "etc", "No", "J", "Jan", "3", "1,000"),
    *("你好", "我", "カタ", "안녕", "a" * 30, "字" * 20, "http://a.b/c?d=e", "Здравствуй", "مرحبا"),
    *(
        ".",
        ".",
        ".",
        "!",
        "?",
        "…",
        "。",
        "！",
        "？",
        "；",
        ",",
        "，",
        "、",
        ":",
        "：",
        ";",
        "-",
        "—",
    ),
    *(" ", " ", " ", "  ", "\n", "\r\n", "\t", " " * 40, '"', "'", "”", "“", "」", "「", ")", "*"),
    *(
        "\x00",
        "\u200b",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "👍🏽",
        "👨‍👩‍👧",
        "🇩🇪",
        "\u200f",
        "\ud800",
        "\udc00",
        "ー",
    ),
)
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.text(alphabet=st.characters(), max_size=300),
)


def segment(text: str, policy: SegmentPolicy = SENTENCES) -> list[Segment]:
    segmenter = TextSegmenter(policy)
    return segmenter.feed(text) + segmenter.finish()


def pieces_of(text: str, policy: SegmentPolicy = SENTENCES) -> list[str]:
    return [piece.text for piece in segment(text, policy)]


def length(text: str) -> int:
    return sum(map(weight, text))


# Each row is a text with | where segments meet.
SENTENCE_CASES = [
    "Hello world.| How are you?| Fine!",
    "What?!| No...| Yes!!!| Done",
    "Pi is 3.14 and e is 2.72.| It costs 1,000.50 dollars.| Right?",
    "Use version 2.0.1.| Then node.js, README.md and a.out.| End",
    "Mr. Smith met Mrs. Jones and Dr. Who at St. Paul.| Prof. X came.",
    "Apples vs. pears, e.g. Granny, i.e. Smith, cf. Bosc, approx. 5.| End",
    "Bread, milk, etc. and more.| Bread, milk, etc.| Then home.",
    "Bread (milk etc.) and so on.",
    "At 5 p.m. Monday we met.| We left at 10 a.m.| The end.",
    "The U.S. Army came to the U.K. in 1942.| He moved to the U.S.| There he stayed.",
    "Jane Doe, Ph.D. of Oxford.| She has a Ph.D.| It took years.",
    "J. R. R. Tolkien wrote it.| C. S. Lewis, too.",
    "Take plan B.| Then rest.| So do I.| But not now.",
    "No. 5 is alive.| No.| Not so.| See Fig. 3 and p. 7.| Turn the p.| Next.",
    "On Jan. 5 we met.| It was in Jan.| We left on Mon. Jan. 8.| The sun.| It sat.| Then",
    "Apple Inc. said so.| Smith et al. found it.| He joined Acme Inc.| They pay.",
    "wait... what?| Wait...| What?| About... 5 of them.",
    "wait…what… no…| Yes…",
    "...and so it began.| Go",
    "Visit www.example.com/a.b?c=d.| Mail a.b@c.co.uk!| See http://x.y/z!w?v;u,t.| OK",
    "It is 10:30.| Or 10:30:15.2 by the clock.| Ok",
    "1. First\n|2. Second\n|10) Tenth\n|a. Letter",
    "Steps: 1. Open it.| 2. Close it.| 3. Rest.",
    "Born in 1999.| Died in 2020.| He had 3.| End",
    "- one\n|- two\n|* three\n|# Four",
    '"Really?" she asked.| "Yes!"| "No."| Fine',
    "“Really?” she asked.| “Yes!”| “No.”| (So?)| ‘Ok.’| Fine",
    "(See above.)| And [this too!]| More.",
    "(see above.) and more.",
    "**Note.**| Then _this!_| Done",
    "Title\n|\nBody of\nthe text.| End",
    "One\r\n|\r\nTwo\r\nthree",
    "First line\n|Second line.| End",
    "Great!|🎉 Next.| Ok 👍🏽.| 😀 Yes!| Go",
    "Wow!\u200d| Yes.| Cafe\u0301.| Go",
    "你好。|我是小明！|真的吗？|是的；|好…|走",
    "你好。」|他说：「好！」|我走了。|",
    "“真的吗？”|他问。|（是的。）|好",
    '他说:"你好。"|"再见。"|我走了。',
    "什么？！|他说……|走了。。。|好",
    "你好!|我是小明.|再见?|好",
    "价格是3.14元，1,000个，10：30到。|好",
    "我用node.js写了图.jpg。|好",
    "OK.|好的!|Hello!|你好",
    "1.打开\n|2、关闭\n|三、走",
    "Mr.王和Dr.李来了。|好",
    "今天。 |明天。",
    "日本語です。|カタカナ！|はい｡|了解",
    "안녕하세요.| 반갑습니다!| 네",
    "Привет.| Как дела?| и т.д. и т.п.| Да",
    "مرحبا.| كيف حالك؟| بخير",
    "नमस्ते।| कैसे हो।| ठीक",
    "!!! Hello.| ???",
    "Nul\x00byte.|\x00 Next.\t| Tab",
]


@pytest.mark.parametrize("case", SENTENCE_CASES)
def test_sentences(case: str) -> None:
    # The blanks between two segments belong to the second: a row may write them on either side.
    expected = [part.strip() for part in case.split("|") if part.strip()]
    found = pieces_of(case.replace("|", ""))
    assert [part.strip() for part in found if part.strip()] == expected


def test_blanks_go_to_the_segment_after_them() -> None:
    assert pieces_of(" One.  Two.\n\nThree. ") == [" One.", "  Two.", "\n\nThree.", " "]


CLAUSE_CASES = [
    "Well,| yes;| I said:| no —| or so.",
    "one—|two –| three -| four",
    "well-known,| 10–20,| pages",
    "The result of 5 - 3,| roughly 1,000 at 10:30,| is",
    "你好，|我是小明、|小红：|好",
    "你好,|世界",
    "比分是3：2，|共1，000个、|走",
    "wait...| what…| no",
    "'Stop!'| he said,| \"now,\"| ok",
    "First line\n|Second line\nand more",
    "run --help now --| or later",
    "etc.,| and so on",
    "他说，|“你好，”|然后走",
]


@pytest.mark.parametrize("case", CLAUSE_CASES)
def test_clauses(case: str) -> None:
    expected = [part.strip() for part in case.split("|")]
    assert [part.strip() for part in pieces_of(case.replace("|", ""), CLAUSES)] == expected


# Each row is a text with ^ at the points where a segment comes out.
PROMPTNESS_CASES = [
    "Hello. ^How are you? ^Fine",
    "Hello world.\n^Next",
    "你好。我^是！好^的",
    "In the beginning, ^God made heaven.",
    "大家晚上好，今^天",
    "wait... W^hat... no",
    '"Really?" S^he',
    "He left at 5 p.m. The ^end",
    "Dr. Who came. ^Then",
    "Title\n\n^Body",
    "3.14 is pi. ^Yes",
    "Hi\n- ^a",
    "Hi\n12. ^a",
    "Roses are red\nBl^ue too",
    "Milk\r\nEg^gs",
    "床前明月光\n疑^是",
    "What are you looking at\nNothing y^ou",
    "1. One 2. T^wo",
]


@pytest.mark.parametrize("case", PROMPTNESS_CASES)
def test_segment_comes_out_as_soon_as_the_text_decides_it(case: str) -> None:
    segmenter = TextSegmenter()
    expected, found, read = [], [], 0
    for char in case:
        if char == "^":
            expected.append(read)
            continue
        read += 1
        found += [read] * len(segmenter.feed(char))
    assert found == expected


def test_first_segment_ends_at_a_clause_once_it_is_worth_speaking() -> None:
    text = "Well, yes, in the beginning, there was light, and it was good. Then, at last, rest."
    assert pieces_of(text, SegmentPolicy()) == [
        "Well, yes, in the beginning,",
        " there was light, and it was good.",
        " Then, at last, rest.",
    ]
    only_first = SegmentPolicy(split_clauses=False, first_clause_min_characters=5)
    assert pieces_of(text, only_first)[0] == "Well, yes,"
    assert pieces_of(text, only_first)[1:] == [
        " in the beginning, there was light, and it was good.",
        " Then, at last, rest.",
    ]
    assert len(pieces_of(text)) == 2


def test_later_segments_end_at_clauses_of_the_wanted_length() -> None:
    policy = SegmentPolicy(first_clause_min_characters=None, clause_min_characters=20)
    assert pieces_of("One, two, three, four, five, six, seven, eight", policy) == [
        "One, two, three, four, five, six,",
        " seven, eight",
    ]


def test_blank_start_leaves_the_first_segment_first() -> None:
    text = " " * 250 + "In the beginning, there was light"
    assert pieces_of(text, SegmentPolicy(split_clauses=False))[-2].endswith("In the beginning,")


def test_sentence_end_tells_sentences_from_clauses_and_forced_cuts() -> None:
    found = segment("In the beginning, God spoke. " + "so " * 80, SegmentPolicy())
    assert [piece.sentence_end for piece in found] == [False, True, False, True]


def test_text_without_punctuation_is_cut_between_words() -> None:
    found = pieces_of("lorem ipsum dolor " * 30, SENTENCES)
    assert len(found) == 3
    assert all(150 < len(piece) <= 200 for piece in found[:-1])
    assert {word for piece in found for word in piece.split()} == {"lorem", "ipsum", "dolor"}


def test_forced_cut_prefers_a_clause_end_in_the_second_half() -> None:
    text = "word " * 25 + "end, " + "more " * 30
    assert pieces_of(text)[0] == "word " * 25 + "end,"


def test_forced_cut_of_chinese_keeps_latin_words_and_numbers_whole() -> None:
    policy = SegmentPolicy(max_characters=20, first_clause_min_characters=None)
    assert pieces_of("我们今天用手机看iPhone拍照", policy) == ["我们今天用手机看", "iPhone拍照"]
    assert pieces_of("我们今天用手机看12345个人", policy) == ["我们今天用手机", "看12345个人"]
    assert pieces_of("我们今天用手机看书「好人", policy) == ["我们今天用手机看书", "「好人"]


def test_very_long_word_is_cut_at_the_limit() -> None:
    found = pieces_of("See https://example.com/" + "a" * 5000 + " now")
    assert found[0] == "See"
    assert {len(piece) for piece in found[1:-1]} == {200}


@pytest.mark.parametrize(
    "cluster",
    ["👨‍👩‍👧", "👍🏽", "e\u0301\u0323", "🇩🇪", "葛\U000e0100", "❤️", "\u1100\u1161\u11a8"],
)
def test_forced_cut_leaves_grapheme_clusters_whole(cluster: str) -> None:
    for shift in range(8):
        found = pieces_of("x" * shift + cluster * 300)
        assert len(found) > 1
        for piece in found[1:]:
            assert piece.startswith(cluster)


@given(
    text=texts, cuts=st.lists(st.integers(0, 300), max_size=12), policy=st.sampled_from(POLICIES)
)
@example(text="a" * 1500 + ". B", cuts=[1], policy=POLICIES[0])
def test_segments_do_not_depend_on_the_pieces(
    text: str, cuts: list[int], policy: SegmentPolicy
) -> None:
    whole = segment(text, policy)
    by_character, by_piece = TextSegmenter(policy), TextSegmenter(policy)
    found = [piece for char in text for piece in by_character.feed(char)]
    assert found + by_character.finish() == whole
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    found = [piece for a, b in pairwise(borders) for piece in by_piece.feed(text[a:b])]
    assert found + by_piece.finish() == whole


@given(text=texts, policy=st.sampled_from(POLICIES))
def test_segments_tile_the_text_within_bounds(text: str, policy: SegmentPolicy) -> None:
    found = segment(text, policy)
    assert "".join(piece.text for piece in found) == text
    position = 0
    for piece in found:
        assert piece.begin == position
        assert piece.text == text[piece.begin : piece.end] != ""
        assert length(piece.text) <= policy.max_characters
        position = piece.end


def flushed(text: str, policy: SegmentPolicy, places: list[int], cuts: list[int]) -> list[Segment]:
    """The segments of a text that is flushed at `places` and otherwise cut at `cuts`."""
    segmenter = TextSegmenter(policy)
    found: list[Segment] = []
    for begin, end in pairwise(sorted({0, len(text), *places, *cuts})):
        found += segmenter.feed(text[begin:end])
        if end in places:
            found += segmenter.flush()
            assert segmenter.pending == 0
    return found + segmenter.finish()


@given(
    text=texts,
    places=st.lists(st.integers(0, 300), max_size=4),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    policy=st.sampled_from(POLICIES),
)
def test_a_flush_ends_a_sentence_wherever_the_text_is_cut(
    text: str, places: list[int], cuts: list[int], policy: SegmentPolicy
) -> None:
    places, cuts = ([min(place, len(text)) for place in given] for given in (places, cuts))
    found = flushed(text, policy, places, cuts)
    assert found == flushed(text, policy, places, list(range(len(text))))
    assert "".join(piece.text for piece in found) == text
    position = 0
    for piece in found:
        assert piece.begin == position
        position = piece.end
    assert {0, *places} <= {0, *(piece.end for piece in found if piece.sentence_end)}


def test_after_a_flush_a_sentence_begins() -> None:
    segmenter = TextSegmenter()
    assert segmenter.flush() == []
    segmenter.feed("He left at 5 p.")
    assert segmenter.flush() == [Segment("He left at 5 p.", 0, 15, True)]
    assert segmenter.flush() == []
    # A number first in its sentence is a list marker.
    assert segmenter.feed("1. One. T") == [Segment("1. One.", 15, 22, True)]
    assert segmenter.finish() == [Segment(" T", 22, 24, True)]
    assert segmenter.flush() == []


def test_a_flush_of_a_clause_end_and_of_blanks_ends_the_sentence() -> None:
    segmenter = TextSegmenter(CLAUSES)
    assert segmenter.feed("Well,") == []
    assert segmenter.flush() == [Segment("Well,", 0, 5, True)]
    assert segmenter.feed(" so, ") == [Segment(" so,", 5, 9, False)]
    assert segmenter.flush() == [Segment(" ", 9, 10, True)]


@given(text=texts)
def test_no_cut_inside_a_cluster_that_fits(text: str) -> None:
    found = segment(text, SHORT)
    for before, after in pairwise(found):
        if is_extender(after.text[0]):
            tail = before.text
            assert all(map(is_extender, tail[1:])) or _joins_blanks_only(tail)
            assert length(tail) + weight(after.text[0]) > SHORT.max_characters


def _joins_blanks_only(text: str) -> bool:
    return all(unicodedata.category(char)[0] in "ZCM" for char in text)


@given(text=texts)
def test_sentence_ends_are_speakable(text: str) -> None:
    for piece in segment(text)[:-1]:
        assert not piece.sentence_end or speakable(piece.text)


HOSTILE = [
    "a",
    " ",
    ".",
    "…",
    '"',
    "。",
    '。"',
    "\n",
    "a\n",
    "ab. ",
    "a... " + " " * 60,
    "wait..." + " " * 31,
    "a " + "w" * 199,
    "p.m. Monday" + " " * 20,
    "字",
    "字, ",
    "\u0301",
    "🇩",
    "e.g. ",
    "\x00",
    "a,",
    "1. ",
    "###### ",
    "a\n\n",
    "the\n",
    "Red\n",
    "Red,\r\n",
    "We walked along the old river and then\n",
    "We walked along the old river with\nAnn ",
    "> a\n",
    "> ",
    ">",
    "床前明月光\n",
    "今天天气很好，我们一起去公园散步，看到\n",
    "Red\n" + " " * 40,
    "1. a 2. ",
    "(1) a\n",
    "①",
    "一、",
    "第",
    "(",
    "Step 1: ",
    "Step ",
    "xiv",
]


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters each look of an open segment read: those read twice count twice."""
    counts: list[int] = []
    original = OpenSegment.read

    def counted(segment: OpenSegment, text: str, layout: Layout, limit: int) -> int:
        count = original(segment, text, layout, limit)
        counts.append(count)
        return count

    monkeypatch.setattr(OpenSegment, "read", counted)
    return counts


@pytest.mark.parametrize("unit", HOSTILE)
def test_work_and_memory_stay_linear(
    unit: str, examined: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    original = Lookahead.char

    def counted(ahead: Lookahead, offset: int = 0) -> str:
        nonlocal looks
        looks += 1
        return original(ahead, offset)

    monkeypatch.setattr(Lookahead, "char", counted)
    text = (unit * 4000)[:4000]
    segmenter = TextSegmenter()
    most = 0
    for char in text:
        segmenter.feed(char)
        most = max(most, segmenter.pending)
    segmenter.finish()
    assert len(text) <= sum(examined) <= 3 * len(text)
    assert most <= 200 + MOST_BLANKS + 16
    assert looks <= 3 * (MOST_BLANKS + 16) * len(text)


@pytest.mark.parametrize(
    "unit", ["\n", "Red\n", "the\n", "1. a\n", "床前明月光\n", "the red fox by the\n"]
)
def test_eighty_thousand_lines_are_read_about_once(unit: str, examined: list[int]) -> None:
    text = unit * 80_000
    segmenter = TextSegmenter()
    most = 0
    for at in range(0, len(text), 500):
        segmenter.feed(text[at : at + 500])
        most = max(most, segmenter.pending)
    segmenter.finish()
    assert len(text) <= sum(examined) <= 1.5 * len(text)
    assert most <= 200 + MOST_BLANKS


def test_long_text_fed_by_the_character_is_read_about_once(examined: list[int]) -> None:
    text = ("The quick fox, they say, met Mr. Dog at 10:30. 我们今天去公园，好不好？ " * 4000)[
        :200_000
    ]
    segmenter = TextSegmenter()
    most = 0
    for char in text:
        segmenter.feed(char)
        most = max(most, segmenter.pending)
    segmenter.finish()
    assert len(text) <= sum(examined) <= 1.5 * len(text)
    assert most <= 200


@pytest.mark.parametrize("text", ["a", "7", "你", "é", "%", "€", "½", "...&...", "１", "±"])
def test_speakable(text: str) -> None:
    assert speakable(text)


@pytest.mark.parametrize(
    "text", ["", " \n", "...", "?!…", "—", "。！", "🎉", "\x00\u200b", "\u0301", "**"]
)
def test_not_speakable(text: str) -> None:
    assert not speakable(text)


def test_finish_is_idempotent_and_ends_feeding() -> None:
    segmenter = TextSegmenter()
    assert segmenter.finish() == []
    assert segmenter.finish() == []
    with pytest.raises(ValueError, match="ended"):
        segmenter.feed("a")


def test_finish_returns_what_is_left_as_a_sentence() -> None:
    segmenter = TextSegmenter()
    assert segmenter.feed("Mr. Smith, e.g") == []
    assert segmenter.pending == 14
    assert segmenter.finish() == [Segment("Mr. Smith, e.g", 0, 14, True)]
    assert segmenter.pending == 0


@pytest.mark.parametrize(
    "wrong",
    [{"max_characters": 7}, {"clause_min_characters": 0}, {"first_clause_min_characters": 0}],
)
def test_policy_refuses_lengths_that_cannot_work(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegmentPolicy(**wrong)  # type: ignore[arg-type]
