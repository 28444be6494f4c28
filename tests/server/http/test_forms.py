"""Forms: what is read of them, and how little is done for those that mean harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.server.http import forms
from cosyserve.server.http.forms import MAX_PARTS, boundary_of, parse_form
from support.peers.peers import Peer
from support.peers.raw import head, raw_exchange

FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\n'


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def read(*parts: bytes) -> list[tuple[str, str | None, bytes]]:
    return [(part.name, part.filename, bytes(part.data)) for part in parse_form(form(*parts), b"b")]


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        (b'form-data; name="file"; filename="a b.wav"', "file", "a b.wav"),
        (b"form-data; name=file; filename=a.wav", "file", "a.wav"),
        (b'Form-Data ;NAME="file" ; filename=""', "file", ""),
        (b'form-data; name="a;b"; filename="\\"q\\".wav"', "a;b", '"q".wav'),
        (b"form-data; name=\"f\"; filename*=UTF-8''%e2%82%ac%20.wav", "f", "\u20ac .wav"),
        (b'form-data; name="f"; filename="x"; filename*=iso-8859-1\'en\'%A3.wav', "f", "\xa3.wav"),
        (b'form-data; name="f"; filename="C:\\dir\\a.wav"', "f", "C:\\dir\\a.wav"),
        ('form-data; name="f"; filename="\u5f55\u97f3.wav"'.encode(), "f", "\u5f55\u97f3.wav"),
        (b"form-data", "", None),
        (b"", "", None),
    ],
)
def test_names_of_parts(disposition: bytes, name: str, filename: str | None) -> None:
    part = b"content-disposition:" + disposition + b"\r\nContent-Type: audio/wav\r\n\r\nsound"
    assert read(part) == [(name, filename, b"sound")]


def test_data_is_kept_byte_by_byte() -> None:
    data = b"\r\n--a\r\n--\r\n\r\n\0\xff--b"
    assert read(FIELD + data, b"\r\nbare", FIELD) == [
        ("a", None, data),
        ("", None, b"bare"),
        ("a", None, b""),
    ]


def test_a_preamble_and_an_epilogue_are_skipped() -> None:
    body = b"read me\r\n" + form(FIELD + b"1") + b"--b\r\nno part"
    assert [bytes(part.data) for part in parse_form(body, b"b")] == [b"1"]


@pytest.mark.parametrize("before", [-6, -5, -4, -3, -2, -1, 0, 1])
def test_a_delimiter_is_found_wherever_a_step_of_the_search_ends(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(forms, "_STEP", 64)
    data = b"-" * (64 + before)
    assert read(FIELD + data, FIELD + b"2") == [("a", None, data), ("a", None, b"2")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        b"--b\r\n--b--",
        b"--b\r\n" + FIELD,
        b"--b\r\n" + FIELD + b"cut",
        b"--b\r\n" + FIELD + b"\r\n--bc--",
        form(b"no header\r\n\r\n"),
        form(b"X: \0\r\n\r\n"),
        form(b"X: 1\n\r\n\r\n"),
        form(b"X: 1"),
        form(b"X: " + b"x" * 9000 + b"\r\n\r\n"),
        form(b"Content-Transfer-Encoding: base64\r\n" + FIELD),
        b"\r\n" * 1_000_000,
        b"\r\n--" * 1_000_000,
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidParameter):
        list(parse_form(body, b"b"))


@pytest.mark.parametrize("kind", ["", "; boundary=", '; boundary=""', "; boundary=\xe9", "; x=1"])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(InvalidParameter, match="names no boundary"):
        boundary_of("multipart/form-data" + kind)


@pytest.mark.parametrize(
    "kind", ["; boundary=b-1", '; charset=x; Boundary="b-1"', ";boundary=b-1;x=1"]
)
def test_boundaries(kind: str) -> None:
    assert boundary_of("multipart/form-data" + kind) == b"b-1"


@given(st.binary(), st.lists(st.sampled_from([b"--b", b"\r\n", b"--", FIELD, b"x", b'; a="'])))
def test_any_bytes_are_a_form_or_refused(data: bytes, pieces: list[bytes]) -> None:
    try:
        for part in parse_form(b"--b\r\n" + b"".join(pieces) + data, b"b"):
            assert part.name is not None
    except TTSError:
        pass


def test_as_many_parts_as_are_allowed() -> None:
    assert len(read(*[FIELD] * MAX_PARTS)) == MAX_PARTS
    with pytest.raises(InvalidParameter, match=f"allowed: {MAX_PARTS}"):
        read(*[FIELD] * (MAX_PARTS + 1))


@pytest.mark.parametrize("part", [FIELD, b"\r\n"])
async def test_no_more_parts_are_parsed_than_are_allowed(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    parsed = 0
    parse = forms._part

    def counted(data: memoryview) -> forms.Part:
        nonlocal parsed
        parsed += 1
        return parse(data)

    monkeypatch.setattr(forms, "_part", counted)
    body = form(*[part] * 100_000)
    lines = (
        "Authorization: Bearer alice-secret",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {len(body)}",
    )
    path = "/api/v1/audio/reference_audio"
    answer = await raw_exchange(peer.server.port, head(f"POST {path}", *lines), body)
    assert answer.status == 400
    assert "too many parts" in answer.json["message"]
    assert parsed == MAX_PARTS
