"""Markup is made, text is escaped."""

from __future__ import annotations

from api_reference.markup import Html, join, line, literal, prose, sample, slug, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b", tag("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"
    assert join("<", None, ["x", Html("<br>"), ">"]) == "&lt;x<br>&gt;"


def test_attributes() -> None:
    made = tag("a", "x", class_="c", href='"#', aria_label="y", title=None)
    assert made == '<a class="c" href="&quot;#" aria-label="y">x</a>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_prose() -> None:
    assert prose(None) == ""
    assert prose("A `b`.\n\n- c") == "<p>A <code>b</code>.</p>\n<ul>\n<li>c</li>\n</ul>"
    assert "<script>" not in prose("<script>alert(1)</script>")
    assert "<table>" in prose("| a |\n| - |\n| b |")


def test_lines_of_names_become_a_list() -> None:
    made = prose("BadThing: it is bad.\nWorse: worse.\n")
    assert made.count("<li>") == 2
    assert "<code>Worse</code>: worse." in made
    assert "<li>" not in prose("Note: one line.")


def test_line_has_no_paragraph() -> None:
    assert line("a\n*b*") == "a <em>b</em>"


def test_values() -> None:
    assert literal('a"<') == '<code>"a\\"&lt;"</code>'
    assert literal("嗨") == '<code>"嗨"</code>'
    assert '<b>"key"</b>: "&lt;"' in sample({"key": "<"})
    assert sample("data: {}\n\n").endswith("data: {}</code></pre>")


def test_slug() -> None:
    assert slug("ws", "", "/v1/{id}", "a.b_c") == "ws-v1-id-a.b_c"
