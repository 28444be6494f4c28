"""Whole texts through the segmenter; | stands where sentences meet."""

from __future__ import annotations

import textwrap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.text.sentences import SentencePart, SentenceStream
from cosyserve.engine.segmentation.segmenter import SegmentPolicy, TextSegmenter

POLICY = SegmentPolicy(max_characters=2000, split_clauses=False, first_clause_min_characters=None)

APART = {
    "title": "The Old Man and the Sea\n|Ernest Hemingway\n|He was an old man.",
    "title and prose": "How to Make Bread\n|Bread is easy to make at home.",
    "title in sentence case": "Getting started with the server\n|Install the package first.",
    "long title": "How we built a small speech server in a month\n|The first version was slow.",
    "heading": "# Installing\n|run the installer",
    "heading after text": "That is all you need\n|## Next steps\n|Read the manual",
    "list": "Milk\n|Eggs\n|Bread",
    "list after a colon": "Shopping list:\n|Milk\n|Eggs\n|Olive oil",
    "small letters": "Shopping list:\n|milk\n|eggs\n|olive oil",
    "single words": "milk\n|eggs\n|bread\n|butter",
    "ingredients": "2 cups of flour\n|1 cup of sugar\n|3 eggs\n|A pinch of salt",
    "recipe": "Preheat the oven to 200 degrees and line a baking tray\n|Mix the flour and the sugar in a bowl"
    "\n|Add the eggs one at a time and beat well\n|Bake for 30 minutes",
    "tips": "Keep a regular bedtime even at the weekend\n|Avoid coffee after lunch\n|Get some sun",
    "verse": "Roses are red\n|Violets are blue\n|Sugar is sweet\n|And so are you",
    "long verse": "The curfew tolls the knell of parting day\n|The lowing herd winds slowly over the lea"
    "\n|The ploughman homeward plods his weary way\n|And leaves the world to darkness and to me",
    "verse that begins with any word": "Rough winds do shake the darling buds of May\n"
    "|Sometimes too hot the eye of heaven shines\n|Nature's own course is changed",
    "verse with enjambment": "I think that I shall never see\n|Lines as lovely as a tree",
    "verse with commas": "Twinkle, twinkle, little star,\nHow I wonder what you are!\n|Up above the world",
    "song": "Hello darkness my good friend\n|Let me sit with you again\n|Softly speaking in the rain",
    "song with particles": "Come on\n|Let's go\n|Hold on\n|We are almost there",
    "song with a bridge": "Oh what a night it was\n|Oh what a night to be\n|Dancing in the street",
    "address": "John Smith\n|12 High Street\n|Springfield\n|USA",
    "business address": "Acme Inc.\n|Research Department\n|P.O. Box 12\n|Portland, OR 97201",
    "signature": "Kind regards,\n|Anna Weber\n|Head of Sales\n|Acme Ltd.\n|London",
    "letter": "Dear Ms. Chen,\n|Thank you for your letter.\n|Best regards,\n|Tom",
    "mail header": "From: Ann\n|To: Bob\n|Subject: Lunch on Friday\n|Are you free",
    "subtitles": "I don't know\n|Where are you going\n|To the store\n|Wait for me",
    "subtitles with marks": "What?\n|I said we should leave now\n|No. |It's too late\n|They are here",
    "dialogue": "Alice: Where are you\n|Bob: At home\n|Alice: Stay there",
    "dialogue with dashes": "– Where are you\n|– At home\n|– Stay there",
    "script": "Doctor: And how long have you had this pain in your shoulder and the arm\n|Patient: Since May",
    "chat": "hey there\n|Are you coming tonight\n|I can bring the drinks",
    "timetable": "10:30 Opening\n|11:00 Coffee\n|11:15 Talks",
    "timetable, one wide line": "9:00 Registration and coffee in the main hall\n|10:00 Opening",
    "statistics": "Population\n|8,900,000\n|Area\n|1,572 km",
    "bullets": "- one\n|- two\n|- three",
    "bullets of other kinds": "• one\n|• two\n|* three\n|+ four\n|→ five\n|✅ six",
    "bullets without blank": "•one\n|•two",
    "emoji": "😀 Fun\n|🎉 Party\n|🚀 Launch",
    "numbers": "1. First\n|2. Second\n|3. Third",
    "numbers in brackets": "(1) first\n|(2) second\n|[3] third",
    "numbers with brackets": "1) first\n|2) second\n|10) tenth",
    "letters": "a) one\n|b) two\n|c. three",
    "roman": "i. one\n|ii. two\n|iii) three\n|iv) four",
    "steps": "Step 1: open the box\n|Step 2: take it out",
    "circled": "①one\n|② two\n|③ three",
    "questions": "Q: What is it\n|A: A server\n|Q: Why",
    "quoted mail": "Ann wrote:\n|> Are you there\n|> Call me\n|Yes I am",
    "carriage returns": "Milk\r\n|Eggs\r\n|Bread",
    "blank lines": "one\n|\ntwo\n|  \n three",
    "line separator": "One\u2028|Two\u2028|Three",
    "item that is a sentence": "1. Open it. |Then wait\n|2. Close it",
    "title before a paragraph that is wrapped": "A short history of the town\n|The town was founded in the "
    "year\n1200 by monks who came from\nFrance.",
    "short last line of a paragraph": "The museum of the city shows many old paintings by\n"
    "masters of the north and a few by their pupils from\nItaly\n|Opening hours",
    "Chinese title": "春晓\n|孟浩然\n|春眠不觉晓\n|处处闻啼鸟",
    "Chinese verse": "床前明月光\n|疑是地上霜\n|举头望明月\n|低头思故乡",
    "Chinese verse of seven": "日照香炉生紫烟\n|遥看瀑布挂前川\n|飞流直下三千尺",
    "Chinese couplets": "朝辞白帝彩云间，千里江陵一日还\n|两岸猿声啼不住，轻舟已过万重山",
    "Chinese list": "苹果\n|香蕉\n|橘子",
    "Chinese list after a colon": "购物清单：\n|牛奶\n|鸡蛋\n|两斤苹果",
    "Chinese numbers": "1.苹果\n|2.香蕉\n|3.橘子",
    "Chinese numbers with blanks": "1. 苹果\n|2. 香蕉",
    "Chinese numerals": "一、苹果\n|二、香蕉\n|十一、橘子",
    "Chinese brackets": "（1）苹果\n|（2）香蕉\n|（三）橘子",
    "Chinese circled": "①苹果\n|②香蕉",
    "Chinese steps": "第一步：打开盒子\n|第二步：取出说明书",
    "Chinese subtitles": "你去哪里\n|我去商店\n|等等我",
    "Chinese song": "月亮代表我的心\n|轻轻的一个吻\n|已经打动我的心",
    "Chinese song with tails": "你是我的\n|我是你的\n|我们在一起",
    "Chinese dialogue": "小明：你今天下午去不去公园，我想和你一起去\n|小红：去\n|小明：好",
    "Chinese chat": "好的，没问题\n|你到了吗\n|我在门口",
    "Chinese address": "北京市海淀区中关村大街1号\n|邮编100080\n|电话010-12345678",
    "Chinese letter": "尊敬的王先生，\n|感谢您的来信。\n|此致",
    "Chinese notice": "关于举办春季运动会的通知\n|各学院、各部门：\n|现将有关事项通知如下",
    "Chinese and English": "我的清单\n|Milk\n|Eggs\n|苹果",
}

TOGETHER = {
    "small letters": "We walked along the river and then\nwent home by bus.",
    "short lines": "We went to the market\nand bought apples.",
    "name": "Last week the two of us took the train to see\nMr. Brown in\nParis.",
    "number": "The company was founded by two brothers in the year\n1998 and sold in\n2010.",
    "function word": "The letter was sent by the\nMinistry of Trade.",
    "wide lines": "The committee met on Tuesday to discuss the budget with\nMr. Brown and the rest of the "
    "staff of the office in\nParis, and they agreed to meet again at the end of\nMarch in the same place.",
    "known width": "The museum shows a large number of old paintings by\nmasters of the north who worked at "
    "the court of King\nHenry and his son, and a smaller room holds letters that\nElizabeth wrote.",
    "known width before a word that begins sentences": "They walked from the station to the hotel that\n"
    "everyone had told them about and which was called\nThe Red Lion by those who\nknew it.",
    "known from the paragraph before": "The first paragraph has lines that were wrapped at a\nwidth that is "
    "known from them.\n|\nThe second one begins with a line that ends before a\nBritish name.",
    "number that looks like a marker": "The meeting of the whole department was moved to May\n5. |Then it "
    "was cancelled.",
    "number in wrapped prose": "In the last match of the season the home team won by\nmore goals than in any "
    "match before, namely with a\n7. |Nobody knows why.",
    "initials": "The book that everybody in the class had to read was by\nJ. R. R. Tolkien.",
    "acronym": "The rocket was built by engineers who had worked for\nNASA in the seventies.",
    "camel case": "Everyone at the table had put away the\niPhone that they had.",
    "abbreviation at the end": "The talk will be given in the big hall by Dr.\nLee and his students.",
    "abbreviation of a number": "All of this is shown in the upper half of Fig.\n7 and in the text.",
    "month": "They will come back from their holidays on Feb.\n3 or later.",
    "hyphenation": "The conference was truly inter-\nnational this year.",
    "hyphen before a capital": "He wrote about the history of the Anglo-\nSaxon kings.",
    "quote": 'The old man looked at her for a while and then said that\n"maybe" was no answer.',
    "mark first": "They bought apples\n, pears and plums.",
    "comma": "They bought apples,\nPears and plums.",
    "indented": "    The server was written in a week by a group of\n    people who like it.",
    "quoted mail": "> The server was written in a week by a group of\n> people who like it and by\n> Ann.",
    "carriage returns": "We walked along the river and then\r\nwent home by\r\nbus.",
    "upper case": 'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR\nIMPLIED, AND '
    "SO ON.",
    "item": "- The first item of this list is so long that it was\n  wrapped\n|- The second is not",
    "sentence inside the line": "It was late. |We had no map and nobody could tell us where the\nRue "
    "Mouffetard was.",
    "readme": "Cosyserve is a server for speech. |It takes text as a language model writes\nit, word by "
    "word, and speaks it while more comes. |It was made for the\nCosyVoice models, and runs on\nLinux.",
    "German": "Er ging mit seiner Schwester durch den\nWald.",
    "Chinese": "今天天气很好，我们一起去公园散步，看到\n了很多漂亮的花，还有许多小朋友在草地上\n放风筝。",
    "Chinese, known width": "我们公司成立于一九九八年，总部设在北京市\n海淀区，目前在"
    "全国各地共有三十多家分公司\n和办事处，员工总数超过五千人，业务范围包\n括软件开发。",
    "Chinese without marks": "中华人民共和国的首都北京是一座拥有三千多\n年建城史的城市。",
    "Chinese that ends in a function word": "人工智能正在改变我们的生活和\n工作。",
    "Chinese with a mark first": "他买了苹果\n，香蕉和橘子。",
    "Chinese with English": "这个服务器支持多种协议，可以用来播放由大型\nPython程序生成的文本。",
    "Chinese with a number": "这家公司最近公布了财务报告，去年的收入达到了\n300万元。",
    "Chinese, the second line only": "他住在一个小城里\n的老房子。",
}

INLINE = {
    "numbers": "1. Open the box |2. Take it out |3. Read it",
    "small": "1. foo |2. bar |3. baz",
    "brackets": "1) foo |2) bar |3) baz",
    "both brackets": "(1) Open the box |(2) Take it out",
    "circled": "①打开②取出③阅读".replace("②", "|②").replace("③", "|③"),
    "after a colon": "Do this: 1. open it |2. close it",
    "no mark before": "You need |1. milk |2. eggs",
    "letters": "a) foo |b) bar |c) baz",
    "steps": "Step 1: open it |Step 2: close it",
    "Chinese": "1.打开盒子|2.取出说明书|3.阅读",
    "Chinese with blanks": "1、打开盒子 |2、取出说明书",
    "Chinese numerals": "一、打开盒子|二、取出说明书",
    "Chinese brackets": "（1）打开盒子|（2）取出说明书",
    "Chinese after a colon": "步骤如下：1、打开盒子 |2、取出说明书",
    "Chinese steps": "第一步：打开盒子 |第二步：取出说明书",
    "no list": "1. Wait 2.5 hours for it",
    "number in prose": "1. It is described in chapter 2. |Then comes more",
    "number at the end": "1. He scored 2",
    "prose with brackets": "The plan has (1) a start, (2) a middle and (3) an end.",
    "commas": "1) foo, 2) bar and 3) baz",
    "fractions": "三、四个人来了",
    "decimal": "1.5 kg of flour and 2.5 of sugar",
}

CASES = [*APART.items(), *TOGETHER.items(), *INLINE.items()]


APART_LINES = [
    "Milk",
    "Red wine",
    "Olive oil",
    "The end",
    "Anna Weber",
    "12 High Street",
    "苹果",
    "春晓",
]
PROSE = [
    "The little museum by the harbour was opened in the spring by a group of friends who had collected "
    "old maps for years. It shows charts of the coast of Norway, letters by Captain James Cook and his "
    "officers, and a globe that was made in Venice around 1570. In the afternoon the rooms are quiet, and "
    "most of the visitors who come from Germany or from Japan sit down in the garden with a cup of tea.",
    "When we came back from Paris on Monday there was a letter from Dr. Lee in the hall, in which he asked "
    "whether we could meet Mr. Brown at the University of Michigan in May. My sister, who had worked for "
    "NASA in the nineties, knew him well and wrote to him at once, but he had moved to New York.",
]
CHINESE_PROSE = [
    "今年夏天，我和爸爸妈妈一起去了云南旅行，我们参观了石林、大理古城和丽江古城，还品尝了当地的美食，"
    "比如过桥米线和鲜花饼。晚上，我们住在洱海边的一家小旅馆，推开窗户就能看见湖水和远处的苍山，"
    "月光洒在水面上，安静得像一幅画。",
    "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的能以人类智能相似的方式做出反应"
    "的智能机器，该领域的研究包括机器人、语言识别、图像识别、自然语言处理和专家系统等。",
]


def sentences(text: str, size: int) -> list[str]:
    segmenter = TextSegmenter(POLICY)
    found = [
        piece for at in range(0, len(text), size) for piece in segmenter.feed(text[at : at + size])
    ]
    found += segmenter.finish()
    joined = [""]
    for piece in found:
        joined[-1] += piece.text
        if piece.sentence_end:
            joined.append("")
    return [sentence.strip() for sentence in joined if sentence.strip()]


def handed_on(text: str, size: int) -> list[str]:
    stream = SentenceStream()
    found = [part for at in range(0, len(text), size) for part in stream.feed(text[at : at + size])]
    found += stream.flush()
    joined = [""]
    for part in found:
        joined[-1] += part.text
        if part.ends:
            joined.append("")
    return [sentence.strip() for sentence in joined if sentence.strip()]


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_line_ends(case: str) -> None:
    expected = [part.strip() for part in case.split("|") if part.strip()]
    text = case.replace("|", "")
    for size in (1, 7, 1000):
        assert sentences(text, size) == expected
        assert handed_on(text, size) == expected


PIECES = (
    *(
        "Roses are red",
        "the",
        "and",
        "to see",
        "in",
        "Mr.",
        "Paris",
        "The",
        "New York",
        "1998",
        "May",
    ),
    *(
        "We walked along the old river and then",
        "床前明月光",
        "今天天气很好，我们一起去公园散步",
        "和",
    ),
    *(
        "1.",
        "2.",
        "3)",
        "(1)",
        "(2)",
        "①",
        "②",
        "一、",
        "二、",
        "第一步：",
        "a)",
        "b)",
        "ii.",
        "-",
        "•",
        "#",
    ),
    *(
        "Step 1:",
        "Step 2:",
        "Dear Ann,",
        "Bob:",
        "苹果",
        ":",
        ",",
        ".",
        "。",
        "，",
        "inter-",
        '"',
        ">",
        "|",
    ),
    *(
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\n\n",
        "\u2028",
        " ",
        " ",
        " ",
        "  ",
        "   " * 12,
        "x" * 40,
        "字" * 25,
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=8))
def test_lines_and_items_do_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    segmenter, stream = TextSegmenter(), SentenceStream()
    whole = segmenter.feed(text) + segmenter.finish()
    ends = ends_of([*stream.feed(text), *stream.flush()])
    for borders in (
        range(len(text) + 1),
        sorted({0, len(text), *(c for c in cuts if c < len(text))}),
    ):
        segmenter, stream = TextSegmenter(), SentenceStream()
        found, parts = [], []
        for begin, end in pairwise(borders):
            found += segmenter.feed(text[begin:end])
            parts += stream.feed(text[begin:end])
        assert found + segmenter.finish() == whole
        parts += stream.flush()
        assert "".join(part.text for part in parts) == text
        assert ends_of(parts) == ends


def ends_of(parts: list[SentencePart]) -> set[int]:
    """Where sentences end."""
    return {part.begin + len(part.text) for part in parts if part.ends}


@given(st.lists(st.sampled_from(APART_LINES), min_size=2, max_size=6))
def test_lines_that_stand_apart_do_so_in_any_order(lines: list[str]) -> None:
    assert sentences("\n".join(lines), 1000) == lines


@pytest.mark.parametrize("width", range(34, 90, 4))
@pytest.mark.parametrize("text", PROSE)
def test_prose_wrapped_at_any_width_is_what_it_was(text: str, width: int) -> None:
    wrapped = textwrap.fill(text, width)
    assert [" ".join(part.split()) for part in sentences(wrapped, 7)] == sentences(text, 1000)


@pytest.mark.parametrize("columns", range(18, 41))
@pytest.mark.parametrize("text", CHINESE_PROSE)
def test_chinese_wrapped_at_any_width_is_what_it_was(text: str, columns: int) -> None:
    lines = [text[at : at + columns] for at in range(0, len(text), columns)]
    assert [part.replace("\n", "") for part in sentences("\n".join(lines), 7)] == sentences(
        text, 1000
    )
