"""Lexicons in PLS."""

from __future__ import annotations

import pytest

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.phrases import Pronunciation, Replacement
from cosyserve.server.dictionaries.pls import LONGEST, read_pls, written_pls

LEXICON = """<?xml version="1.0" encoding="UTF-8"?>
<!-- two words -->
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon"
      xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" alphabet="cmu-arpabet" xml:lang="en-GB">
  <meta name="a" content="b"/>
  <lexeme role="x">
    <grapheme>tomato</grapheme> <grapheme> Tom\n ato </grapheme>
    <phoneme> T AH0 M EY1 T OW0 </phoneme>
    <phoneme>T</phoneme>
    <example>a <b>tomato</b></example>
  </lexeme>
  <lexeme><grapheme>A&amp;B</grapheme><phoneme alphabet="ipa">eɪ</phoneme></lexeme>
  <lexeme><grapheme>UN</grapheme><alias>United Nations</alias></lexeme>
</lexicon>
"""
RULES = (
    Pronunciation("tomato", "cmu-arpabet", "T AH0 M EY1 T OW0"),
    Pronunciation("Tom ato", "cmu-arpabet", "T AH0 M EY1 T OW0"),
    Pronunciation("A&B", "ipa", "eɪ"),
    Replacement("UN", "United Nations", whole_words=True),
)


def test_a_lexicon_is_read() -> None:
    assert read_pls(LEXICON.encode()) == RULES
    assert read_pls(LEXICON.replace("UTF-8", "UTF-16").encode("utf-16")) == RULES


def test_what_is_written_is_read_back() -> None:
    assert read_pls(written_pls(RULES)) == RULES
    assert read_pls(written_pls(())) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: this is no well-formed XML; allowed: a lexicon in PLS"),
        ("\x00\xff", "this is no well-formed XML"),
        ("<lexicon>\n<lexeme></lexicon>", "line 2: this is no well-formed XML"),
        ("<?xml version='1.0' encoding='x-none'?><lexicon/>", "no well-formed XML"),
        ("<speak/>", "line 1: <speak> is no lexicon; allowed: <lexicon> around all"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><lexicon>&b;</lexicon>", "document type and its entities"),
        ("<lexicon>\n<lexeme/></lexicon>", "line 2: lexeme: incomplete; allowed: a grapheme at"),
        ("<lexicon><lexeme><grapheme>a</grapheme></lexeme></lexicon>", "lexeme: incomplete"),
        ("<lexicon>" + "<a>" * 9, "line 1: elements are nested too deep; allowed: up to 8"),
        (f"<lexicon>{'x' * 5000}</lexicon>", "a text is too long; allowed: up to 4096 characters"),
        (
            LEXICON.replace('"ipa"', '"x-sampa"'),
            "line 13: lexeme.alphabet: 'x-sampa' is not allowed",
        ),
        (LEXICON.replace(">UN<", "> <"), "lexeme.string_to_replace: '' is not allowed"),
        (LEXICON.replace("eɪ", " "), "lexeme.phoneme: '' is not allowed"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read_pls(text.encode())
    assert refused.value.message.startswith("file: ")
    assert message in refused.value.message


def test_a_file_that_is_too_large() -> None:
    with pytest.raises(InvalidParameter, match="allowed: up to 1048576"):
        read_pls(b" " * (LONGEST + 1))
