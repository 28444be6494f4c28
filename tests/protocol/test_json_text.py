"""JSON as clients write it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.errors import BadFrame
from cosyserve.protocol.json_text import decode

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from('\\"u\ufffd🎉')),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\\u"), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (r'"\ud83c"', "\ufffd"),
        (r'"\uDF89!"', "\ufffd!"),
        (r'"a\uD83Cb\udf89c"', "a\ufffdb\ufffdc"),
        (r'"\ud83c\ud83c\udf89\udf89"', "\ufffd🎉\ufffd"),
        (r'"\\ud83c"', r"\ud83c"),
        (r'"\\\ud83c"', "\\\ufffd"),
        (r'"\\\\ud83c\ud83c"', "\\\\ud83c\ufffd"),
        (r'"\\ud83c\udf89"', "\\ud83c\ufffd"),
        (r'"\"\ud83c\n"', '"\ufffd\n'),
        (
            r'{"\ud83c": {"k\udf89": ["\ud83c"]}, "n": 1.5}',
            {"\ufffd": {"k\ufffd": ["\ufffd"]}, "n": 1.5},
        ),
        (r'["\ud83c","\udf89"]', ["\ufffd", "\ufffd"]),
        (r'["\ud83c", 18446744073709551615, 1e3]', ["\ufffd", 2**64 - 1, 1000.0]),
    ],
)
def test_half_of_a_pair_is_the_replacement_character(source: str, value: Any) -> None:
    assert decode(source) == decode(source.encode()) == value


def test_the_piece_of_a_text_keeps_its_halves() -> None:
    source = r'{"a": {"text": "\udf89 b\ud83c", "name": "\ud83c"}, "text": "\ud83c"}'
    found = {"a": {"text": "\udf89 b\ud83c", "name": "\ufffd"}, "text": "\ufffd"}
    assert decode(source, ("a", "text")) == found
    for other in (r'{"a": ["\ud83c"]}', r'{"a": {"text": 5, "b": "\ud83c"}}', r'"\ud83c"'):
        assert decode(other, ("a", "text")) == decode(other)


@given(ANY)
def test_what_was_understood_before_is_understood_the_same(value: Any) -> None:
    # The half makes the whole message take the other way.
    source = json.dumps([value, "\ud83c"])
    assert decode(source) == [orjson.loads(json.dumps(value)), "\ufffd"]


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode("\ufeff{}") == decode(b"\xef\xbb\xbf{}") == {}
    assert decode('\ufeff"\\ud83c"') == decode(b'\xef\xbb\xbf"\\ud83c"') == "\ufffd"
    assert decode('"\ufeff"') == "\ufeff"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "\ufeff",
        "{\ufeff}",
        r'"\ud83',
        r'"\ud83c',
        r'"\ud83g"',
        r"\ud83c",
        r'{"a": "\ud83c",}',
        r'["\ud83c", NaN]',
        r'["\ud83c", -Infinity]',
        r'["\ud83c", 1e999]',
        r'["\ud83c", 01]',
        '["\\ud83c", "\t"]',
        '["\\ud83c", ' + "[" * 100_000,
        '["\\ud83c", ' + "[" * 5_000 + "]" * 5_001,
        '["\\ud83c", ' + "9" * 10_000 + "]",
        '"\ud83c"',
    ],
    ids=lambda source: ascii(source[:16]),
)
def test_what_is_no_json_stays_none(source: str) -> None:
    with pytest.raises(BadFrame, match=r"^not JSON: ") as caught:
        decode(source)
    assert caught.value.close_code == 1007
    with pytest.raises(BadFrame):
        decode(source.encode(errors="surrogatepass"))


def test_bytes_that_are_no_text_are_no_json() -> None:
    with pytest.raises(BadFrame):
        decode(b'["\\ud83c", "\xff"]')
