"""Request targets in one spelling."""

from __future__ import annotations

import pytest

from cosyserve.server.targets import one_spelling, with_one_spelling


@pytest.mark.parametrize(
    ("target", "one"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/v1/audio/speech", "/v1/audio/speech"),
        ("/v1/audio/speech/", "/v1/audio/speech"),
        ("//v1//audio/speech//", "/v1/audio/speech"),
        ("//v1//audio?a=//b/", "/v1/audio?a=//b/"),
        ("/?a=/", "/?a=/"),
        ("/a?", "/a?"),
        ("/a%2F%2f/", "/a%2F%2f"),
        ("/../a/./", "/../a/."),
        ("http://host:1//a//b/?c", "http://host:1/a/b?c"),
        ("http://host", "http://host"),
        ("*", "*"),
        ("host:443", "host:443"),
        ("", ""),
    ],
)
def test_a_target_has_single_slashes_and_none_at_its_end(target: str, one: str) -> None:
    assert one_spelling(target) == one
    assert one_spelling(one) == one


def test_only_the_target_of_a_head_is_changed() -> None:
    head = b"POST //a/ HTTP/1.1\r\nHost: //x//\r\n\r\n//body/"
    assert with_one_spelling(head) == b"POST /a HTTP/1.1\r\nHost: //x//\r\n\r\n//body/"


@pytest.mark.parametrize(
    "head", [b"", b"\r\n\r\n", b"GET //a\r\n\r\n", b"GET //a b HTTP/1.1\r\n", b"\xff \xff \xff"]
)
def test_what_is_no_head_is_left_alone(head: bytes) -> None:
    assert with_one_spelling(head) == head
