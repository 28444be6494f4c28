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
from cosyserve.protocol.surrogates import well_formed

PATH = ("payload", "input", "text")


def message(written: str) -> str:
    """A message whose text is written so, escapes and all."""
    return f'{{"payload": {{"input": {{"text": "{written}"}}, "other": "{written}"}}}}'


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"ok \ud83c", "ok \ud83c"),
        (r"\udf89 done", "\udf89 done"),
        (r"\uDF89 a \uD83C", "\udf89 a \ud83c"),
        (r"\udf89", "\udf89"),
        (r"\ud83c", "\ud83c"),
        (r"\ud83c\udf89\ud83c", "🎉\ud83c"),
        (r"a\ud83cb\udf89", "a\ufffdb\udf89"),
        (r"\\ud83c", r"\ud83c"),
        (r"\\\ud83c", "\\\ud83c"),
        (r"\\\\ud83c\ud83c", r"\\ud83c" + "\ud83c"),
        (r"\ufffd \ue03c \ud83c", "\ufffd \ue03c \ud83c"),
        (r"\ufffd\ud83c\ufffd", "\ufffd\ufffd\ufffd"),
        (r"\n\ud83c\n", "\n\ufffd\n"),
    ],
)
@pytest.mark.parametrize("encode", [str, str.encode])
def test_only_the_text_keeps_halves_at_its_ends(written: str, text: str, encode: Any) -> None:
    decoded = decode(encode(message(written)), PATH)["payload"]
    assert decoded["input"]["text"] == text
    assert decoded["other"] == well_formed(text)
    assert decode(encode(message(written)))["payload"]["input"]["text"] == well_formed(text)


def test_names_and_every_other_place_get_the_replacement() -> None:
    given = r'{"\ud83c": ["\udf89", {"a": "x\ud83c"}], "payload": {"input": ["\ud83c"]}}'
    wanted = {"\ufffd": ["\ufffd", {"a": "x\ufffd"}], "payload": {"input": ["\ufffd"]}}
    assert decode(given, PATH) == wanted


@given(st.text(st.characters(codec=None), max_size=20).map(lambda text: text + "\ud83c"))
def test_it_reads_what_others_write(text: str) -> None:
    written = json.dumps({"payload": {"input": {"text": text}}})
    units = written.encode().decode()  # ASCII alone
    assert decode(units) == {"payload": {"input": {"text": well_formed(text)}}}
    found = decode(units, PATH)["payload"]["input"]["text"]
    assert well_formed(found + "\udf89") == well_formed(text + "\udf89")


@pytest.mark.parametrize("data", ['\ufeff{"a": 1}', b'\xef\xbb\xbf{"a": 1}'])
def test_a_byte_order_mark_is_skipped(data: str | bytes) -> None:
    assert decode(data) == {"a": 1}


def test_a_byte_order_mark_inside_is_text() -> None:
    assert decode('{"a": "\ufeff"}') == {"a": "\ufeff"}


@pytest.mark.parametrize(
    "wrong", ["{", '{"a": NaN}', r'{"a": "\ud83c"', r'{"a": "\ud83c", "b": 1e999}']
)
def test_what_is_no_json_is_a_bad_frame(wrong: str) -> None:
    with pytest.raises(BadFrame) as caught:
        decode(wrong)
    assert caught.value.close_code == 1007


def test_the_ordinary_way_takes_one_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []

    def loads(data: Any) -> Any:
        parsed.append(data)
        return orjson.loads(data)

    monkeypatch.setattr("cosyserve.protocol.json_text.orjson", type("", (), {
        "loads": staticmethod(loads), "JSONDecodeError": orjson.JSONDecodeError,
    }))  # fmt: skip
    decode(message(r"whole \ud83c\udf89 \\ud83c"), PATH)
    assert len(parsed) == 1
    decode(message(r"\ud83c"), PATH)
    assert len(parsed) == 4
