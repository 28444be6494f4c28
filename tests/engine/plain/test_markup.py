"""Texts as chat models write them, and what is read of them."""

from __future__ import annotations

import pytest

from support.writing.plain import in_pieces, plain

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


@pytest.mark.parametrize(("text", "read"), MARKS.items())
def test_what_is_read(text: str, read: str) -> None:
    assert plain(text) == read
    for size in (1, 2, 3, 7):
        assert in_pieces(text, size) == read


@pytest.mark.parametrize("text", NO_MARKS)
def test_what_is_no_mark_stays(text: str) -> None:
    assert plain(text) == text
    assert plain(text, cues=True) == text
    assert in_pieces(text, 1) == text


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
