"""Reading SSML: what is refused, and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.ssml.parse import (
    DEEPEST,
    LONGEST_ATTRIBUTE,
    LONGEST_DOCUMENT,
    MOST_ELEMENTS,
    Element,
    parse,
)


def only(text: str) -> Element:
    found = [node for node in parse(text) if isinstance(node, Element)]
    assert len(found) == 1
    return found[0]


def test_a_document_is_a_tree() -> None:
    speak = only('<speak version="1.0">One <break time="1s"/>&amp; <p>two</p></speak>')
    assert speak.name == "speak"
    assert speak.attributes == {"version": "1.0"}
    names = [child if isinstance(child, str) else child.name for child in speak.children]
    assert names == ["One ", "break", "& ", "p"]


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0" encoding="utf-8"?>\n<speak>a</speak>',
        '<?xml version="1.0" encoding="gbk"?><speak>a</speak>',
        '  <speak xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">a</speak>\n',
        '<speak xmlns:xsi="x" xsi:schemaLocation="y"><!-- no --><?pi no?>a</speak>',
        "<speak><![CDATA[a]]></speak>",
        "<speak>&#97;</speak>",
    ],
)
def test_what_xml_allows(text: str) -> None:
    assert "".join(child for child in only(text).children if isinstance(child, str)) == "a"


def test_several_documents_and_text_between() -> None:
    nodes = parse("<speak>a</speak> and <speak>b</speak>")
    shown = [node.strip() if isinstance(node, str) else node.name for node in nodes]
    assert [name for name in shown if name] == ["speak", "and", "speak"]


BOMB = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><speak>&b;</speak>'
FETCH = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><speak>&e;</speak>'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, r"line 1, column \d+: a document type \(DOCTYPE\)"),
        (FETCH, r"a document type \(DOCTYPE\)"),
        ('<!DOCTYPE speak SYSTEM "http://x/y.dtd"><speak/>', r"\(DOCTYPE\)"),
        ("<speak><!DOCTYPE a></speak>", r"\(DOCTYPE\)"),
        ('<speak><!ENTITY a "b"></speak>', r"\(DOCTYPE\)"),
        (
            "<speak>\n a&nbsp;b</speak>",
            r"line 2, column \d+: unknown entity &nbsp;; allowed: &amp;",
        ),
        ("<speak>a\0b</speak>", r"line 1, column 9: U\+0000 is not an XML character"),
        ("<speak>\n\x0b</speak>", r"line 2, column 1: U\+000B"),
        ("<speak>\udcff</speak>", r"U\+DCFF"),
        ("<speak>\uffff</speak>", r"U\+FFFF"),
        ("<speak>&#0;</speak>", r"line 1, column 8: reference to invalid character"),
        ("<speak>a", r"the document ends inside <speak>"),
        ("<speak>\n<p>a</speak>", r"line 2, column \d+: mismatched tag inside <p>"),
        ("<speak a=1/>", r"line 1, column 10: not well-formed"),
        ("<speak>a & b</speak>", r"line 1, column 11: not well-formed"),
        ("</documents><documents>", r"not well-formed|junk|mismatched"),
        ("</documents>", r"the document ends too early"),
        ("<voice>a</voice>", r"<voice> is outside <speak>"),
        (
            "<speak><audio src='x'/></speak>",
            r"line 1, column 8: <audio> is not supported; .*<break>",
        ),
        ("<speak><speak/></speak>", r"<speak> is not supported; inside <speak> allowed"),
        (
            "<speak><break for='1s'/></speak>",
            r"<break>: unknown attribute 'for'; allowed: time, strength",
        ),
        ("<speak><mark/></speak>", r"<mark>: the attribute name is missing"),
        ("<speak><sub>a</sub></speak>", r"<sub>: the attribute alias is missing"),
        ("<speak><break>a</break></speak>", r"<break> must be empty"),
        ("<speak><sub alias='a'><p/></sub></speak>", r"<p> is inside <sub>, .* only text"),
        ("<speak><break><p/></break></speak>", r"<p> is inside <break>, .* empty"),
        (f"<speak voice='{'a' * (LONGEST_ATTRIBUTE + 1)}'/>", r"voice has 2001 characters"),
        (f"<speak>{'a' * LONGEST_DOCUMENT}</speak>", r"has 200015 characters; allowed: up to"),
        (f"<speak>{'<p>' * DEEPEST}{'</p>' * DEEPEST}</speak>", r"<p> is nested more than 32 deep"),
        (f"<speak>{'<p/>' * MOST_ELEMENTS}</speak>", r"more than 10000 elements"),
        ("<speak>" + "<p>" * 50_000, r"nested more than 32 deep"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        parse(text)


def test_depth_and_number_up_to_the_bounds() -> None:
    inner = DEEPEST - 1
    assert only(f"<speak>{'<p>' * inner}{'</p>' * inner}</speak>").name == "speak"
    assert len(only(f"<speak>{'<p/>' * 5000}</speak>").children) == 5000


PIECES = (
    *("<speak>", "</speak>", "<p>", "</p>", "<break time='1s'/>", "<sub alias='x'>", "</sub>"),
    *("<", ">", "&", "&amp;", "&#x41;", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<!DOCTYPE"),
    *("a", "你好", " ", "\n", "'", '"', "=", "\0", "\ud800", "</documents>", "<documents>", "😀"),
)


@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.text()))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        nodes = parse(text)
    except InvalidParameter:
        return
    for node in nodes:
        assert isinstance(node, str) or node.name == "speak"
