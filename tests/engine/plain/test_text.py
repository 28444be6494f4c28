"""Texts as people and chat models write them, and what is read of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosyserve.engine.plain import CUES, PlainText
from cosyserve.engine.plain.links import LOOK_AHEAD


def plain(text: str, *, markup: bool = True, cues: bool = False) -> str:
    stages = PlainText(markup=markup, cues=cues)
    return stages.feed(text) + stages.flush()


MARKS = {
    # emphasis
    "**bold**": "bold",
    "__b__ and _i_": "b and i",
    "*i*": "i",
    "***both***": "both",
    "un**believ**able": "unbelievable",
    "用**Python**编程，Vue**的**API": "用Python编程，Vue的API",
    "***a** b* c": "a b c",
    "~~gone~~": "gone",
    "**Note:** this": "Note: this",
    "**重点：**你好": "重点：你好",
    "这是**重点**吗": "这是重点吗",
    "这**重点**和**另一个**。": "这重点和另一个。",
    "中*文*字": "中文字",
    "他说：**“不行”**。": "他说：“不行”。",
    "**A** vs. **B**": "A vs. B",
    '**"quoted"** and **(note)**': '"quoted" and (note)',
    "**$5** off": "$5 off",
    "a **never closed opener": "a never closed opener",
    "*He smiles.* Hello!": "He smiles. Hello!",
    "哈哈~~": "哈哈",
    "Fill in the ____ here": "Fill in the  here",
    # code
    "`code`": "code",
    "Use `a_b*c*` now": "Use a_b*c* now",
    "``a ` b``": "a  b",
    "`**kwargs`": "**kwargs",
    "It`s": "It's",
    "```python\nprint(1)\n```\nDone.": "\nprint(1)\n\nDone.",
    "Run:\n```\nls -l | wc\n```": "Run:\n\nls -l | wc\n",
    "~~~\n**x**\n~~~\ny": "\n**x**\n\ny",
    "```c++\na * b": "\na * b",
    "> ```\n> a*b*c\n> ```\nx": "\n> a*b*c\n\nx",
    # links and images
    "[text](https://x.y/a_(b)_c) z": "text z",
    '[text](https://x.y "A title")': "text",
    "[a **bold** link](/x)": "a bold link",
    "看[链接](https://x.y)吧": "看链接吧",
    "![alt](u.png)": "alt",
    "[![badge](b.svg)](https://x.y)": "badge",
    "![](u.png)hi": "hi",
    "[text][ref] more": "text more",
    "[ref]: https://x.y 'T'\nmore": "\nmore",
    "<https://x.y/z> and <a.b@c.de>": "https://x.y/z and a.b@c.de",
    "see https://x.y/a_b_c?d=1&e=_f_ now": "see https://x.y/a_b_c?d=1&e=_f_ now",
    "so[^1] it is\n\n[^1]: A note.": "so it is\n\nA note.",
    "[" + "long " * 40 + "](https://x.y/z) end": "[" + "long " * 40 + " end",
    # what lines begin with
    "# Title\nText": "Title\n\nText",
    "## Title ##\ntext": "Title \n\ntext",
    "\ufeff# Title": "Title",
    "##标题\n正文": "标题\n\n正文",
    "- milk\n- eggs": "milk\n\neggs",
    "* a\n+ b\n• c": "a\n\nb\n\nc",
    "a\n  - b": "a\n  \nb",
    "> quoted\n> on": "quoted\non",
    "> - a\n> - b": "a\n\nb",
    "- [ ] open\n- [x] done": "open\n\ndone",
    "1. [x] done": "1. done",
    "a\n---\nb": "a\n\nb",
    "a\n\n* * *\n\nb": "a\n\n\n\nb",
    "Title\n=====\ntext": "Title\n\ntext",
    "| A | B |\n|---|:-:|\n| 1 | 2 |\nEnd": "A, B\n\n\n1, 2\n\nEnd",
    "|a|b|\n|-|-|\n|c.|d|": "a, b\n\n\nc. d",
    "| 名称 | 价格 |\n|------|------|\n| 苹果 | 5元 |": "名称, 价格\n\n\n苹果, 5元",
    "| | x |": "x",
    "yes | no": "yes , no",
    "- **Bold:** x\n- _y_": "Bold: x\n\ny",
    # escapes and formulas
    "\\*not\\* \\_this\\_ \\# \\$5": "*not* _this_ # $5",
    "1\\. item": "1. item",
    "\\(a+b\\) and \\[c\\]": "a+b and c",
    "$x^2$ and $n$": "x^2 and n",
    "$$E = mc^2$$": "E = mc^2",
    # HTML
    "<i>word</i> <B>x</B>": "word x",
    "a<br>b<br/>c": "a\nb\nc",
    "<p>One</p><p>Two</p>": "One\n\nTwo\n\n",
    "<ul><li>a</li><li>b</li></ul>": "a\n\nb\n\n",
    '<a href="https://x.y">text</a>': "text",
    "<img src='u' alt='a cat'> sat": "a cat sat",
    "<input disabled>x": "x",
    "<tr><td>a</td><td>b</td></tr>": "a, b\n\n",
    "x<sup>2</sup> H<sub>2</sub>O": "x² H2O",
    "a<!-- never\nread -->b": "ab",
    "<!DOCTYPE html>x": "x",
    "&lt;b&gt; &amp; R&amp;D": "<b> & R&D",
    "&#39;a&nbsp;b&#x27; &hellip;": "'a b' …",
    # pictures
    "Hi 👋! 1️⃣ a 🇩🇪b": "Hi ! 1 a b",
    "a👨\u200d👩\u200d👧b": "a b",
    "👍🏽 ok ❤️\u200d🔥 🏴\U000e0067\U000e0062\U000e007f": " ok  ",
    "Good!🎉Next": "Good!Next",
    "done\n✅ one\n❌ two": "done\n\n one\n\n two",
    "ℹ️ info ↔️": " info ",
    "Press #️⃣ and *️⃣": "Press # and *",
    "🎉🎊": "",
    "** ** 🎉": "  ",
}
NO_MARKS = (
    *(
        "3 * 4",
        "2*3*4",
        "2 ** 3",
        "2**10",
        "x**y",
        "2**3**2",
        "a*b",
        "(a+b)*c",
        "f(x)*(y)",
        "5* hotel",
        "*.py and *.txt",
    ),
    *(
        "a_b",
        "snake_case_name",
        "user_id=5",
        "变量_a",
        "/usr/_x/",
        "5 < 6 and 7 > 3",
        "x<y",
        "a <- b",
    ),
    *(
        "a <b and c> d",
        "List<T>",
        "Map<K, V>",
        "std::vector<int>",
        "<3",
        "i < n; i++",
        "C#",
        "#1",
        "F#",
    ),
    *(
        "#hashtag",
        "#话题#",
        "x -1",
        "-5 degrees",
        "1. item",
        "2) item",
        "f(x)",
        "~5",
        "~/path",
        "AT&T",
    ),
    *(
        "R&D;",
        "a & b",
        "&nosuch;",
        "a|b",
        "a || b",
        "|x| is",
        "《书名》",
        "[sic] he",
        "see [1].",
        "a[0][1]",
    ),
    *(
        "f[0](x)",
        "[x] (y)",
        "(see [a])",
        "$5 and $6",
        "US$5/US$6",
        "$HOME or $PATH.",
        "costs $5-$10",
    ),
    *(
        "C:\\Users\\name",
        "a\\b",
        "wait!",
        "a = b == c",
        "-- x",
        "10:30",
        "@user",
        "x -> y",
        "a=>b",
        "50%",
    ),
    *(
        "你好，世界！（真的）：对；吗？",
        "“引号”",
        "a…b",
        "café",
        "नमस्ते",
        "한국어",
        "ㅋㅋ",
        "мир",
        "20°C",
    ),
    *("[注]：见下", ">5 items", ">= 3", "5 - 3", "e.g. this", "B♭", "5 km/h", "C++ and C"),
)
FORMS = {
    "密码是７３５１": "密码是7351",
    "ＵＳＢ接口": "USB接口",
    "５０％ ＋ ＄３": "50% + $3",
    "１，０００．５": "1,000.5",
    "甲，乙．丙": "甲，乙．丙",
    "１，２，３": "1，2，3",
    "𝗪𝗼𝘄 𝓼𝓸 𝟙": "Wow so 1",
    "ⓦⓞⓦ Ⓐ 🄰 🅷🅸 ꜱᴍᴀʟʟ": "wow A A HI small",
    "ﬁne ﬂow ĳ": "fine flow ij",
    "选②和⑳": "选2和20",
    "选①②": "选1 2",
    "❸x": "3. x",
    "② Go\n③ Stop": "2. Go\n3. Stop",
    "②买菜\n③ 做饭": "2、买菜\n3、做饭",
    "①、买菜": "1、买菜",
    "1️⃣ Install": "1. Install",
    "㊀买": "一、买",
    "Type Ⅳ": "Type IV",
    "第Ⅳ章 ⅩⅣ世": "第4章 14世",
    "Ⅲ、总结": "3、总结",
    "５㎝ ㎡ ㏒ ㎞ ㎏ ㎛ ㎧": "5cm m² log km kg µm m/s",
    "𝛽 ﹪ 𝛜": "β % ε",
    "½ 2½ ⅓": "1/2 2 1/2 1/3",
    "ｱｲｳ ｶﾞｯ ﾊﾟ ｡": "アイウ ガッ パ 。",
    "a\u00a0b\u2009c\u3000d": "a b c d",
    "so\u00adft z\u200be \u202ert\u202c \ufeffx": "soft ze rt x",
    "m² x² 10⁻³ (a)³": "m² x² 10⁻³ (a)³",
    "² up": "2 up",
    "H₂O ᵗʰᵉ 1ˢᵗ": "H2O the 1st",
    "state‑of‑the‑art": "state-of-the-art",
    "می\u200cروم क्\u200dष": "می\u200cروم क्\u200dष",
    "⑴ ⒉ ㈱ ⼈": "(1) 2. (株) 人",
    "Acme™ ®": "Acme ",
    "What‼": "What!!",
}


@pytest.mark.parametrize(("text", "read"), {**MARKS, **FORMS}.items())
def test_what_is_read(text: str, read: str) -> None:
    assert plain(text) == read


@pytest.mark.parametrize("text", NO_MARKS)
def test_what_is_no_mark_stays(text: str) -> None:
    assert plain(text) == text
    assert plain(text, cues=True) == text


@pytest.mark.parametrize("text", [*MARKS, *FORMS, *NO_MARKS])
def test_the_same_in_any_pieces(text: str) -> None:
    for size in (1, 2, 3, 7):
        stages = PlainText()
        pieces = [stages.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(pieces) + stages.flush() == plain(text)


def test_a_chat_answer() -> None:
    answer = (
        "## 🚀 Quick start\n\n"
        "Here's how to install **cosyserve** on *Linux*:\n\n"
        "1. Run `pip install cosyserve` ([docs](https://x.y/docs#a_b)).\n"
        "2. Start it:\n\n"
        "   ```bash\n   cosyserve --port 8000\n   ```\n\n"
        "- ✅ **Fast** – under 5 * 10 ms\n"
        "- ❌ ~~Slow~~\n\n"
        "| Model | Size |\n| :--- | ---: |\n| `tiny` | 5㎝ |\n\n"
        "---\n\n> *Note:* AT&amp;T isn't `<b>`.\n"
    )
    lines = [line.strip() for line in plain(answer).split("\n")]
    assert [line for line in lines if line] == [
        "Quick start",
        "Here's how to install cosyserve on Linux:",
        "1. Run pip install cosyserve (docs).",
        "2. Start it:",
        "cosyserve --port 8000",
        "Fast – under 5 * 10 ms",
        "Slow",
        "Model, Size",
        "tiny, 5cm",
        "Note: AT&T isn't <b>.",
    ]


def test_a_chinese_chat_answer() -> None:
    answer = (
        "### 一、**准备工作**\n"
        "1️⃣ 打开[官网](https://x.y)，下载**最新版**（约５０ＭＢ）；\n"
        "2️⃣ 输入`user_id`😀\n\n"
        "| 项目 | 说明 |\n|---|---|\n| 第Ⅱ步 | ~~跳过~~ |\n\n"
        "> **提示**：3*4=12，详见《手册》。"
    )
    lines = [line.strip() for line in plain(answer).split("\n")]
    assert [line for line in lines if line] == [
        "一、准备工作",
        "1、打开官网，下载最新版（约50MB）；",
        "2、输入user_id",
        "项目, 说明",
        "第2步, 跳过",
        "提示：3*4=12，详见《手册》。",
    ]


@pytest.mark.parametrize("cue", CUES)
def test_cues_stay_where_the_voice_has_them(cue: str) -> None:
    assert plain(f"**a** {cue} b", cues=True) == f"a {cue} b"
    assert cue not in plain(f"a {cue} b")
    assert cue not in plain(f"a {cue} b", markup=False)


def test_a_cue_parts_words() -> None:
    assert plain("Hi[breath]there <laughter>ha</laughter>!") == "Hi there ha!"


def test_without_markup_only_characters_change() -> None:
    text = "# **a** [b](c) <i>d</i> &amp; `e`\n- f"
    assert plain(text, markup=False) == text
    assert plain("**ＵＳＢ** 😀", markup=False) == "**USB** "


def test_sounds_are_left_alone() -> None:
    sounds = PlainText.verbatim()
    assert sounds.feed("kʰæ*t²") + sounds.flush() == "kʰæ*t²"
    assert sounds.source(1, 3) == (1, 3)


def test_a_flush_gives_out_what_is_held_and_begins_a_line() -> None:
    stages = PlainText()
    assert stages.feed("see [the") == "see "
    assert stages.pending == 4
    assert stages.flush() == "[the"
    assert stages.feed("- item **") == "item "
    assert stages.flush() == ""
    assert stages.feed("x") + stages.flush() == "x"


@pytest.mark.parametrize("opener", ["[", "![", "**", "`", "<b", "<", "$x", "&a", "~~", "_", "<3"])
def test_an_opener_alone_holds_little_back(opener: str) -> None:
    stages = PlainText()
    text = f"Now {opener}" + " and so it goes on" * 20
    for at, char in enumerate(text):
        stages.feed(char)
        assert stages.pending <= LOOK_AHEAD, at
    assert stages.pending <= 2


HOSTILE = (
    *("*", "_", "~", "`", "[", "]", "<", "&", "$", "|", "\\", "#", "- ", "> ", "!["),
    *(
        "[a",
        "[]",
        "[a](",
        "[[]",
        "](h",
        "<a ",
        '<b x="',
        "<!--",
        "&a",
        "$a",
        "* a",
        "`a",
        "|a",
        "| ",
    ),
    *("\n-", "\n```", "[breath", "<strong", "<a@", "\n[a]:", "</td>", "<sup>1", "中**", "a*"),
    *("😀", "①", "1\ufe0f\u20e3", "\u200d", "Ⅳ", "７，", "ｶ", "½", "²", "\u202e"),
)


@pytest.mark.parametrize("mark", HOSTILE)
def test_the_cost_is_linear(mark: str) -> None:
    """Decisions each look at a bounded stretch, and at most so many are open at a time."""
    text = (mark * 8000)[:8000]
    for size in (1, len(text)):
        stages = PlainText()
        held = 0
        for at in range(0, len(text), size):
            stages.feed(text[at : at + size])
            held = max(held, stages.pending)
        stages.flush()
        assert stages.pending == 0
        assert held <= 1200
        assert stages.decisions <= 6 * len(text)


# The joints at which marks may be cut, and what makes marks of them.
PIECES = (
    *(
        "a",
        "b ",
        "Word",
        "5",
        "42",
        "中",
        "重点",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "!",
        "。",
        "，",
        "．",
    ),
    *(
        "*",
        "**",
        "***",
        "_",
        "__",
        "~",
        "~~",
        "~~~",
        "`",
        "```",
        "```py",
        "- ",
        "* ",
        "> ",
        "# ",
        "## ",
    ),
    *(
        "[",
        "]",
        "(",
        ")",
        "](",
        "](http://x.y)",
        "[a](u)",
        "![",
        "[^1]",
        "[^1]:",
        "[ ]",
        "[x] ",
        "1. ",
    ),
    *(
        "[r]: http://a.b/c",
        '"t"',
        "'t'",
        "https://",
        "www.",
        "mailto:",
        "/",
        "@",
        "#",
        ":",
        "=",
        "-",
    ),
    *("<", "<b>", "</b>", "<br/>", "<p>", "<!--", "-->", "<td>", "</td>", "<sup>", "2", "</sup>"),
    *(
        "<https://a.b>",
        '<a href="x">',
        "<img alt='k'>",
        "&",
        "&amp;",
        "&#39;",
        "&nb",
        "sp;",
        "*.py",
    ),
    *("$", "$x^2$", "$$", "\\", "\\*", "\\(", "|", "| a |", "|---|", "---", "===", "+", "é", "😀"),
    *(
        "\u200d",
        "\ufe0f",
        "\u20e3",
        "1\ufe0f\u20e3",
        "①",
        "②",
        "Ⅳ",
        "½",
        "７",
        "１，０００",
        "ｶ",
        "ﾞ",
    ),
    *(
        "²",
        "㎡",
        "\u00ad",
        "\u200b",
        "\ufeff",
        "𝗪",
        "ℹ",
        "[breath]",
        "[brea",
        "<strong>",
        "</strong>",
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@settings(deadline=None, max_examples=400)
@given(TEXTS, st.booleans(), st.booleans(), st.lists(st.integers(0, 120), max_size=5))
def test_cuts_do_not_matter(text: str, markup: bool, cues: bool, cuts: list[int]) -> None:
    whole = PlainText(markup=markup, cues=cues)
    expected = whole.feed(text) + whole.flush()
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    for edges in (places, range(len(text) + 1)):
        stages = PlainText(markup=markup, cues=cues)
        given_out = "".join(stages.feed(text[a:b]) for a, b in pairwise(edges))
        assert given_out + stages.flush() == expected
        for place in range(len(expected)):
            assert stages.source(place, place + 1) == whole.source(place, place + 1)


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.lists(st.integers(0, 120), max_size=3), st.lists(st.integers(0, 120), max_size=5))
def test_flushes_matter_wherever_the_text_is_cut(
    text: str, flushes: list[int], cuts: list[int]
) -> None:
    flushes = [min(place, len(text)) for place in flushes]

    def flushed(edges: set[int]) -> str:
        stages, out = PlainText(), ""
        for begin, end in pairwise(sorted({0, len(text), *edges})):
            out += stages.feed(text[begin:end])
            if end in flushes:
                out += stages.flush()
        return out + stages.flush()

    edges = {*flushes, *(min(cut, len(text)) for cut in cuts)}
    assert flushed(edges) == flushed({*flushes, *range(len(text))})


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_places_come_in_order(text: str) -> None:
    stages = PlainText()
    read = stages.feed(text) + stages.flush()
    before = (0, 0)
    for place in range(len(read)):
        begin, end = stages.source(place, place + 1)
        assert before[0] <= begin <= end <= len(text)
        assert before[1] <= end
        before = begin, end


@pytest.mark.parametrize(
    ("text", "word", "source"),
    [
        ("Some **bold** text", "bold", "bold"),
        ("A [link](https://x.y) here", "here", "here"),
        ("a &amp; b", "&", "&amp;"),
        ("密码７３５１吗", "7351", "７３５１"),
        ("２½杯", "1/2", "½"),
        ("用㎝量", "cm", "㎝"),
        ("x 1️⃣ y", "1", "1️⃣"),
        ("- one\n- two", "two", "two"),
    ],
)
def test_where_words_lie(text: str, word: str, source: str) -> None:
    stages = PlainText()
    read = stages.feed(text) + stages.flush()
    begin, end = stages.source(read.index(word), read.index(word) + len(word))
    assert text[begin:end] == source


def test_an_empty_stretch_lies_after_what_comes_before() -> None:
    stages = PlainText()
    stages.feed("**ab** c")
    assert stages.source(2, 2) == (4, 4)
    assert stages.source(0, 0)[0] <= 2
    with pytest.raises(ValueError, match="not within"):
        stages.source(0, 99)
